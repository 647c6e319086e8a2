// Roles by what a wallet has on a chain: pieces of a collection, an amount of a token, a name. The contracts are the
// smallest ones that answer as real ones do, on a real chain that calls itself 1.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { concat, pad, stringToHex, toHex } from 'viem';
import { namehash } from 'viem/ens';
import { newKey, startChain } from './chain.mjs';
import { start } from './server.mjs';

const collection = '0xcc00000000000000000000000000000000000001';
const token = '0xcc00000000000000000000000000000000000002';
const registry = '0x00000000000C2E074eC69A0dFb2997BA6C7d2e1e'; // of ENS
const forward = '0xcc00000000000000000000000000000000000003'; // resolves names to wallets
const backward = '0xcc00000000000000000000000000000000000004'; // says the same name of each wallet

// Answers any call with what is stored under its first argument: a balance, an address, the resolver of a name.
const stored = '0x6004355460005260206000f3';

// saying answers any call with the same text.
function saying(text) {
	const data = concat([pad('0x20'), pad(toHex(text.length)), pad(stringToHex(text), { dir: 'right' })]);
	return concat(['0x6060600c60003960606000f3', data]);
}

describe('roles from a chain', () => {
	let chain, gate;
	const ready = (async () => {
		chain = await startChain({ id: 1 });
		gate = await start({
			global: `grant holder nft 1 ${collection}
			grant patron token 1 ${token} min 0.5
			grant insider ens *.example.eth
			wallet {
				rpc 1 ${chain.url}
				roles_ttl 1s
			}`,
			site: 'allow role holder /holders/*',
		});
		for (const address of [collection, token, registry, forward]) {
			await chain.client.setCode({ address, bytecode: stored });
		}
		await chain.client.setCode({ address: backward, bytecode: saying('alice.example.eth') });
	})();
	after(async () => {
		await ready.catch(() => {});
		await gate?.stop();
		await chain?.stop();
	});

	const store = (address, index, value) => chain.client.setStorageAt({ address, index: pad(index), value: pad(value) });

	async function call(route, body, headers = {}) {
		const res = await fetch(`${gate.origin}/${route}`, {
			method: body ? 'POST' : 'GET', headers: { 'Content-Type': 'application/json', ...headers }, body: body && JSON.stringify(body),
		});
		return { status: res.status, body: await res.json().catch(() => undefined) };
	}

	async function signIn(account) {
		const { body: { challengeMessage: challenge } } = await call('auth/challenge/create', { address: account.address, chainId: 1 });
		const { status, body } = await call('auth/challenge/sign', { challenge, signature: await account.signMessage({ message: challenge }) });
		assert.equal(status, 200, JSON.stringify(body));
		return body;
	}
	const roles = async (account) => (await signIn(account)).user.roles;
	const stale = () => setTimeout(1100); // of roles_ttl, which is the least that there is

	test('a piece of a collection lets in, and lets in no more once it is given away', async () => {
		await ready;
		const [holder, stranger] = [newKey(), newKey()];
		await store(collection, holder.address, '0x01');
		const session = await signIn(holder);
		assert.deepEqual(session.user.roles, ['holder']);
		const bearer = (s) => ({ Authorization: `Bearer ${s.access_token}` });
		assert.equal((await call('holders/x', undefined, bearer(session))).status, 200);
		assert.equal((await call('holders/x', undefined, bearer(await signIn(stranger)))).status, 403);

		await store(collection, holder.address, '0x00');
		await stale();
		const { status, body } = await call('auth/token/refresh', { refresh_token: session.refresh_token });
		assert.deepEqual([status, body.user.roles], [200, []]);
		assert.equal((await call('holders/x', undefined, bearer(body))).status, 403);
	});

	test('an amount of a token counts with its decimals', async () => {
		await ready;
		const account = newKey();
		await store(token, '0x00', toHex(18)); // decimals() has no argument
		await store(token, account.address, toHex(499_999_999_999_999_999n));
		assert.deepEqual(await roles(account), []);
		await store(token, account.address, toHex(500_000_000_000_000_000n));
		await stale();
		assert.deepEqual(await roles(account), ['patron']);
	});

	test('a name counts where it resolves both ways', async () => {
		await ready;
		const [owner, pretender] = [newKey(), newKey()];
		for (const { address } of [owner, pretender]) {
			await store(registry, namehash(`${address.slice(2).toLowerCase()}.addr.reverse`), backward);
		}
		await store(registry, namehash('alice.example.eth'), forward);
		await store(forward, namehash('alice.example.eth'), owner.address);
		assert.deepEqual(await roles(owner), ['insider']);
		assert.deepEqual(await roles(pretender), [], 'anybody can claim a name');
	});

	// The last, since the chain is gone after it.
	test('a chain that is gone costs the role, and not the sign-in', async () => {
		await ready;
		const account = newKey();
		await store(collection, account.address, '0x01');
		assert.deepEqual(await roles(account), ['holder']);
		await chain.stop();
		await stale();
		assert.deepEqual(await roles(account), []);
	});
});
