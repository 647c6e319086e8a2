// What an application gets that believes another gateway, through the whole of Caddy: with names beyond ASCII, and with a
// client that claims to be somebody.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { start } from './server.mjs';

let grafana, pomerium;
before(async () => {
	[grafana, pomerium] = await Promise.all([
		start({ site: 'headers grafana raw\nheader X-Name {name}' }),
		start({ site: 'headers pomerium' }),
	]);
});
after(() => Promise.all([grafana?.stop(), pomerium?.stop()]));

// signIn answers how a program asks that has signed in with a new wallet and called itself by this name.
async function signIn(gate, name) {
	const account = privateKeyToAccount(generatePrivateKey());
	const send = (method, route, body, headers) => fetch(`${gate.origin}/auth/${route}`, {
		method, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body),
	});
	const post = (...args) => send('POST', ...args).then((r) => r.json());
	const { challengeMessage } = await post('challenge/create', { address: account.address, chainId: 1 });
	const { access_token, refresh_token, user } = await post('challenge/sign', { challenge: challengeMessage, signature: await account.signMessage({ message: challengeMessage }) });
	const renamed = await send('PATCH', 'profile', { name }, { Authorization: `Bearer ${access_token}` });
	assert.equal(renamed.status, 200, await renamed.text());
	return { user, token: (await post('token/refresh', { refresh_token })).access_token };
}

const claimed = {
	'X-WEBAUTH-USER': 'root', 'x_webauth_user': 'root', 'X-Webauth.Role': 'Admin', 'X-WEBAUTH-ORGS': '1', 'X-Name': 'root',
	'X-Pomerium-Claim-Email': 'root@example.com', 'X-Pomerium-Claim-Given-Name': 'Root', 'X_POMERIUM_JWT_ASSERTION': 'e30.e30.', 'Remote-User': 'root',
};

// ask answers the headers at the backend that its application believes, in any spelling.
async function ask(gate, path, headers) {
	const { headers: seen } = await (await fetch(gate.origin + path, { headers: { ...claimed, ...headers } })).json();
	return Object.fromEntries(Object.entries(seen).filter(([name]) => (gate === grafana ? /^(x.webauth|x.name|remote)/i : /^(x.pomerium|remote)/i).test(name))
		.map(([name, value]) => [name, Buffer.from(value, 'latin1').toString()]));
}

test('Grafana is told by its own headers, in UTF-8 where raw is written', async () => {
	const { user, token } = await signIn(grafana, 'Zoë Ōsaka');
	assert.deepEqual(await ask(grafana, '/api', { Authorization: `Bearer ${token}` }), {
		'x-webauth-user': user.username, 'x-webauth-name': 'Zoë Ōsaka', 'x-name': 'Zo%C3%AB%20%C5%8Csaka',
	});
});

test('an application behind Pomerium is told by its headers and the assertion', async () => {
	const { user, token } = await signIn(pomerium, 'Zoë');
	const { 'x-pomerium-jwt-assertion': said, ...rest } = await ask(pomerium, '/api', { Authorization: `Bearer ${token}` });
	assert.deepEqual(rest, { 'x-pomerium-claim-sub': user.id, 'x-pomerium-claim-user': user.id, 'x-pomerium-claim-name': 'Zo%C3%AB' });
	const claims = JSON.parse(Buffer.from(said.split('.')[1], 'base64url').toString());
	assert.deepEqual([claims.sub, claims.aud, claims.name], [user.id, pomerium.origin, 'Zoë']);
});

test('who is signed out is nobody, whatever the client says', async () => {
	assert.deepEqual(await ask(grafana, '/public/x', {}), {});
	assert.deepEqual(await ask(pomerium, '/public/x', {}), {});
});
