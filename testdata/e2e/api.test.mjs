// The JSON API as a program uses it that signs with viem, the library of most wallets' web pages.
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, test } from 'node:test';
import { getAddress } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { createSiweMessage, parseSiweMessage } from 'viem/siwe';
import { start } from './server.mjs';

let gate;
before(async () => { gate = await start(); });
after(() => gate?.stop());

const wallet = () => privateKeyToAccount(generatePrivateKey());

async function call(method, route, body, headers = {}) {
	const res = await fetch(`${gate.origin}/auth/${route}`, {
		method,
		redirect: 'manual',
		headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
		body: body === undefined ? undefined : JSON.stringify(body),
	});
	const text = await res.text();
	return { status: res.status, headers: res.headers, body: text ? JSON.parse(text) : undefined };
}

const bearer = (token) => ({ Authorization: `Bearer ${token}` });

async function problem(answer, status, code) {
	assert.equal(answer.status, status, JSON.stringify(answer.body));
	assert.match(answer.headers.get('content-type'), /^application\/problem\+json/);
	assert.match(answer.headers.get('cache-control'), /no-store/);
	assert.equal(answer.body.code, code);
}

// serverWritten signs in with the message that the gateway writes.
async function serverWritten(account, extra = {}) {
	const created = await call('POST', 'challenge/create', { address: account.address, chainId: 1 });
	assert.equal(created.status, 200, JSON.stringify(created.body));
	const { challengeMessage } = created.body;
	const signature = await account.signMessage({ message: challengeMessage });
	return call('POST', 'challenge/sign', { challenge: challengeMessage, signature, ...extra });
}

// clientWritten signs in with a message that viem writes, changed by fields.
async function clientWritten(account, fields = {}) {
	const { body } = await call('POST', 'challenge/create', {});
	const message = createSiweMessage({
		address: account.address, chainId: 1, domain: body.domain, nonce: body.nonce, uri: body.uri, version: body.version,
		statement: body.statement, ...fields,
	});
	return call('POST', 'challenge/sign', { challenge: message, signature: await account.signMessage({ message }) });
}

test('a message the gateway writes is one that viem reads', async () => {
	const account = wallet();
	const { body } = await call('POST', 'challenge/create', { address: account.address, chainId: 10 });
	const message = parseSiweMessage(body.challengeMessage);
	assert.equal(message.address, account.address);
	assert.equal(message.chainId, 10);
	assert.equal(message.domain, new URL(gate.origin).host);
	assert.equal(new URL(message.uri).origin, gate.origin);
	assert.equal(message.nonce, body.nonce);
	assert.equal(message.version, '1');
	assert.ok(Math.abs(message.expirationTime - new Date(body.expiresAt)) < 1000);
	assert.ok(body.nonce.length >= 22, 'the nonce has 128 bits');
	assert.ok(Math.abs(message.expirationTime - message.issuedAt - 60_000) <= 1000);
});

test('sign in with the message the gateway writes, refresh, sign out', async () => {
	const account = wallet();
	const { status, body, headers } = await serverWritten(account);
	assert.equal(status, 200, JSON.stringify(body));
	assert.equal(headers.get('set-cookie'), null);
	assert.deepEqual(Object.keys(body).sort(), ['access_token', 'expires_in', 'refresh_token', 'token_type', 'user']);
	assert.equal(body.token_type, 'Bearer');
	assert.deepEqual(body.user, {
		id: body.user.id, username: account.address, name: '', email: '', roles: [], wallets: [account.address], methods: ['wallet'],
	});
	const session = await call('GET', 'session', undefined, bearer(body.access_token));
	assert.equal(session.status, 200);
	assert.deepEqual(session.body.user, body.user);
	assert.deepEqual(Object.keys(session.body.session).sort(), ['auth_time', 'expires', 'id', 'methods']);

	const next = await call('POST', 'token/refresh', { refresh_token: body.refresh_token });
	assert.equal(next.status, 200, JSON.stringify(next.body));
	assert.notEqual(next.body.access_token, body.access_token);
	assert.equal((await call('POST', 'sign-out', undefined, bearer(next.body.access_token))).status, 204);
	await problem(await call('GET', 'session', undefined, bearer(next.body.access_token)), 401, 'unauthenticated');
	await problem(await call('POST', 'token/refresh', { refresh_token: next.body.refresh_token }), 401, 'invalid_grant');
});

test('sign in with a message viem writes', async () => {
	const account = wallet();
	const { status, body } = await clientWritten(account);
	assert.equal(status, 200, JSON.stringify(body));
	assert.equal(getAddress(body.user.wallets[0]), account.address);
});

test('the same wallet is the same user, on every chain', async () => {
	const account = wallet();
	const first = await serverWritten(account);
	const second = await clientWritten(account, { chainId: 8453 });
	assert.equal(second.status, 200, JSON.stringify(second.body));
	assert.equal(second.body.user.id, first.body.user.id);
});

test('optional members of a message are taken where they hold', async () => {
	for (const fields of [
		{ statement: undefined },
		{ expirationTime: new Date(Date.now() + 30_000) },
		{ notBefore: new Date(Date.now() - 1000) },
		{ requestId: 'request-1' },
		{ issuedAt: new Date() },
	]) {
		const { status, body } = await clientWritten(wallet(), fields);
		assert.equal(status, 200, `${JSON.stringify(fields)}: ${JSON.stringify(body)}`);
	}
});

test('a message for another site, time or nonce is refused', async () => {
	for (const [name, fields, status, code] of [
		['domain', { domain: 'evil.example' }, 400, 'invalid_message'],
		['subdomain', { domain: `evil.${new URL(gate.origin).host}` }, 400, 'invalid_message'],
		['uri', { uri: 'https://evil.example/' }, 400, 'invalid_message'],
		['expired', { expirationTime: new Date(Date.now() - 120_000) }, null, null],
		['not yet', { notBefore: new Date(Date.now() + 600_000) }, 400, 'invalid_message'],
		['resources, which may delegate rights (ERC-5573)', { resources: ['https://example.com/a'] }, 400, 'invalid_message'],
		['nonce', { nonce: 'abcdefghijklmnop12345678' }, 404, 'challenge_not_found'],
	]) {
		const answer = await clientWritten(wallet(), fields);
		if (code) {
			await problem(answer, status, code);
		} else {
			assert.ok(answer.status === 400 || answer.status === 412, `${name}: ${answer.status}`);
		}
	}
});

test('a challenge counts once, and not for another wallet', async () => {
	const [alice, eve] = [wallet(), wallet()];
	const { body: { challengeMessage } } = await call('POST', 'challenge/create', { address: alice.address });
	const signature = await alice.signMessage({ message: challengeMessage });
	assert.equal((await call('POST', 'challenge/sign', { challenge: challengeMessage, signature })).status, 200);
	await problem(await call('POST', 'challenge/sign', { challenge: challengeMessage, signature }), 404, 'challenge_not_found');

	const second = await call('POST', 'challenge/create', { address: alice.address });
	const forged = await eve.signMessage({ message: second.body.challengeMessage });
	await problem(await call('POST', 'challenge/sign', { challenge: second.body.challengeMessage, signature: forged }), 400, 'invalid_signature');

	// The nonce that alice was given does not sign eve in, whatever message she writes around it.
	const third = await call('POST', 'challenge/create', { address: alice.address });
	const message = third.body.challengeMessage.replace(alice.address, eve.address);
	await problem(
		await call('POST', 'challenge/sign', { challenge: message, signature: await eve.signMessage({ message }) }), 400, 'invalid_message');
});

test('what is no address, and a signature of another shape, is refused', async () => {
	const lower = wallet().address.toLowerCase();
	for (const address of ['0x', 'alice', `${lower}0`, lower.slice(0, -1), `0x${'0'.repeat(40)}`, 'vitalik.eth', '']) {
		const answer = await call('POST', 'challenge/create', { address });
		if (address !== '') {
			await problem(answer, 400, 'invalid_address');
		}
	}
	assert.equal((await call('POST', 'challenge/create', { address: lower })).status, 200);

	const account = wallet();
	for (const shape of [(s) => s.slice(0, -2), (s) => s.slice(2), (s) => `${s}00`, () => '0x', () => 'x', (s) => `0x${s.slice(2, 130)}`]) {
		const { body } = await call('POST', 'challenge/create', { address: account.address });
		const signature = shape(await account.signMessage({ message: body.challengeMessage }));
		const answer = await call('POST', 'challenge/sign', { challenge: body.challengeMessage, signature });
		await problem(answer, 400, 'invalid_signature');
	}
});

test('a session cookie in place of tokens', async () => {
	const { status, body, headers } = await serverWritten(wallet(), { session: 'cookie', return_to: '/reports?a=b' });
	assert.equal(status, 200, JSON.stringify(body));
	assert.deepEqual(Object.keys(body).sort(), ['return_to', 'user']);
	assert.equal(body.return_to, '/reports?a=b');
	const [cookie] = headers.getSetCookie();
	assert.match(cookie, /; ?HttpOnly/i);
	assert.match(cookie, /; ?SameSite=Lax/i);
	const Cookie = cookie.split(';')[0];
	assert.equal((await call('GET', 'session', undefined, { Cookie })).status, 200);
	assert.equal((await call('POST', 'sign-out', undefined, { Cookie })).status, 204);
	assert.equal((await call('GET', 'session', undefined, { Cookie })).status, 401);
});

test('the backend is told who it is, and nothing a client made up', async () => {
	const account = wallet();
	const { body } = await serverWritten(account);
	const res = await fetch(`${gate.origin}/reports`, {
		headers: { ...bearer(body.access_token), 'Remote-User': 'root', 'X-Authgate-Subject': 'root' },
	});
	assert.equal(res.status, 200);
	if (process.env.AUTHGATE_URL) {
		return; // that gateway has a backend of its own
	}
	const { headers } = gate.seen.at(-1);
	assert.equal(headers['remote-user'], account.address);
	assert.equal(headers['x-authgate-subject'], body.user.id);
	assert.equal(headers['x-authgate-wallet'], account.address);
	assert.equal(headers['x-authgate-methods'], 'wallet');
	assert.equal(headers.authorization, undefined);
});

test('Caddyfile.example protects its demo backend', async (t) => {
	const example = await start({ example: true });
	t.after(() => example.stop());
	const asked = await navigate(example.origin + '/');
	assert.equal(asked.status, 302);
	assert.match(asked.location, /^\/auth\/sign-in\?return_to=%2F$/);
	const open = await navigate(`${example.origin}/public/page`);
	assert.equal(open.status, 200);
	assert.match(open.body, /This is the backend/);
});

// navigate asks as a browser does that shows a page; fetch says of itself that it is a script.
function navigate(url) {
	return new Promise((resolve, reject) => {
		const headers = { Accept: 'text/html', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' };
		get(url, { headers }, (res) => {
			let body = '';
			res.on('data', (chunk) => { body += chunk; });
			res.on('end', () => resolve({ status: res.statusCode, location: res.headers.location, body }));
		}).on('error', reject);
	});
}
