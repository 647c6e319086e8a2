// Websockets as programs of Node.js open them, with ws from npm.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { WebSocket } from 'ws';
import { start } from './server.mjs';

let gate;
before(async () => { gate = await start(); });
after(() => gate?.stop());

const limit = () => AbortSignal.timeout(60_000); // a machine may have much else to do
const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const call = (method, route, headers, body) => fetch(`${gate.origin}/auth/${route}`, {
	method, headers: { ...headers, ...(body && { 'Content-Type': 'application/json' }) }, body: body && JSON.stringify(body),
});

// signIn answers what a new wallet gets that signs in, and the cookie where it asks for one.
async function signIn(extra = {}) {
	const account = privateKeyToAccount(generatePrivateKey());
	const { challengeMessage } = await (await call('POST', 'challenge/create', {}, { address: account.address, chainId: 1 })).json();
	const signature = await account.signMessage({ message: challengeMessage });
	const answer = await call('POST', 'challenge/sign', {}, { challenge: challengeMessage, signature, ...extra });
	assert.equal(answer.status, 200);
	return { ...await answer.json(), cookie: { Cookie: answer.headers.getSetCookie()[0]?.split(';')[0] } };
}

const dial = (headers = {}, options = {}) => new WebSocket(`${gate.origin.replace('http', 'ws')}/reports/ws`, { headers, ...options });

// open answers a websocket that was let through.
async function open(headers, options) {
	const socket = dial(headers, options);
	socket.over = new Promise((resolve) => { socket.once('close', resolve); });
	await once(socket, 'open', { signal: limit() });
	socket.on('error', () => {}); // that it is cut off
	return socket;
}

// refused answers the status and the problem that a websocket gets in place of being opened.
async function refused(headers, options) {
	const socket = dial(headers, options);
	const opened = once(socket, 'open', { signal: limit() }).then(() => assert.fail('it was opened'));
	const [, response] = await Promise.race([once(socket, 'unexpected-response', { signal: limit() }), opened]);
	let body = '';
	for await (const chunk of response) {
		body += chunk;
	}
	return [response.statusCode, JSON.parse(body).code, response.headers.location];
}

async function echoes(socket) {
	for (const sent of ['hello', 'Übung '.repeat(20_000)]) {
		socket.send(sent);
		const [got, binary] = await once(socket, 'message', { signal: limit() });
		assert.deepEqual([got.toString() === sent, binary], [true, false]);
	}
	const bytes = Buffer.from([0, 255, 10]);
	socket.send(bytes);
	assert.deepEqual(await once(socket, 'message', { signal: limit() }), [bytes, true]);
	socket.ping('still there?');
	assert.equal((await once(socket, 'pong', { signal: limit() })).toString(), 'still there?');
}

// ends waits until the gateway has ended a websocket.
const ends = (socket, name) => Promise.race([socket.over, once(limit(), 'abort').then(() => assert.fail(`${name}: it is open a minute later`))]);

test('a websocket is refused as any request is: by status, with no redirect', async () => {
	const { cookie } = await signIn({ session: 'cookie' });
	const before = gate.seen.length;
	assert.deepEqual(await refused(), [401, 'unauthenticated', undefined]);
	assert.deepEqual(await refused({}, { origin: gate.origin }), [401, 'unauthenticated', undefined]);
	assert.deepEqual(await refused(bearer('x.y.z')), [401, 'unauthenticated', undefined]);
	assert.deepEqual(await refused(cookie, { origin: 'https://attacker.example' }), [403, 'cross_origin', undefined]);
	assert.deepEqual(await refused(cookie, { origin: 'null' }), [403, 'cross_origin', undefined]);
	assert.equal(gate.seen.length, before, 'the backend was asked');
});

test('a websocket carries messages as who opened it, and ends with what it was opened by', async () => {
	const [page, program, owner, other] = [await signIn({ session: 'cookie' }), await signIn(), await signIn(), await signIn()];
	const made = await (await call('POST', 'tokens', bearer(owner.access_token), { name: 'sensor' })).json();
	const signOut = (headers) => () => call('POST', 'sign-out', headers);
	const ways = {
		cookie: { user: page.user, headers: page.cookie, options: { origin: gate.origin }, end: signOut(page.cookie) },
		bearer: { user: program.user, headers: bearer(program.access_token), end: signOut(bearer(program.access_token)) },
		'personal access token': { user: owner.user, headers: bearer(made.token), end: () => call('DELETE', `tokens/${made.id}`, bearer(owner.access_token)) },
	};
	const bystander = await open(bearer(other.access_token));
	for (const [name, way] of Object.entries(ways)) {
		way.socket = await open({ ...way.headers, 'Remote-User': 'root' }, way.options);
		const { headers } = gate.seen.at(-1);
		assert.deepEqual([headers['remote-user'], headers['x-authgate-subject']], [way.user.username, way.user.id], name);
		assert.deepEqual([headers.authorization, headers.cookie], [undefined, undefined], name);
		assert.match(way.socket.extensions, /^permessage-deflate/, name);
		await echoes(way.socket);
	}
	for (const [name, { socket, headers, options, end }] of Object.entries(ways)) {
		assert.equal(socket.readyState, WebSocket.OPEN, `${name}: ended with somebody else's`);
		assert.equal((await end()).status, 204, name);
		await ends(socket, name);
		assert.deepEqual(await refused(headers, options), [401, 'unauthenticated', undefined], name);
	}
	await echoes(bystander);
	bystander.close(1000);
	assert.equal(await bystander.over, 1000);
});
