// Wallets that are contracts, on a real chain: they sign in as any other wallet does, and nobody signs in as one by a
// trick. viem is the client; where it calls a stranger's signature good, the gateway does not.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, describe, test } from 'node:test';
import { toHex, zeroAddress } from 'viem';
import { createSiweMessage } from 'viem/siwe';
import { wallet } from './browser.mjs';
import { missing, newKey, startChain, wrap } from './chain.mjs';
import { at, button, says } from './people.mjs';
import { stage } from './stage.mjs';

const unasked = 1; // a chain with no endpoint
const silentChain = 31339; // one whose endpoint never answers
const secret = 'hush-6f1c'; // what a provider of endpoints knows its customers by

describe('contract wallets', { skip: missing }, () => {
	let chain, fading, factory, unlisted;
	const silent = createServer(() => {});
	const gate = stage(async () => {
		[chain, fading] = await Promise.all([startChain(), startChain({ id: 31338 })]);
		await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
		factory = await chain.contract('WalletFactory');
		unlisted = await chain.contract('WalletFactory');
		return {
			global: `wallet {
				rpc ${chain.id} ${chain.url}
				rpc ${fading.id} ${fading.url}/?key=${secret}
				rpc 10 ${chain.url}/
				rpc ${silentChain} http://127.0.0.1:${silent.address().port}
				factory ${factory} ${await chain.safeFactory()}
			}`,
		};
	});
	after(() => {
		silent.close();
		silent.closeAllConnections();
		return Promise.all([chain?.stop(), fading?.stop()]);
	});

	async function call(route, body, from) {
		const res = await fetch(`${gate.origin}/auth/${route}`, {
			method: 'POST',
			headers: { 'Content-Type': 'application/json', ...(from ? { 'X-Forwarded-For': from } : {}) },
			body: JSON.stringify(body),
		});
		return { status: res.status, headers: res.headers, body: await res.json() };
	}

	// signIn signs in with the message that the gateway writes.
	async function signIn(account, chainId = chain.id, from = undefined) {
		const created = await call('challenge/create', { address: account.address, chainId }, from);
		assert.equal(created.status, 200, JSON.stringify(created.body));
		const { challengeMessage: challenge } = created.body;
		return call('challenge/sign', { challenge, signature: await account.signMessage({ message: challenge }) }, from);
	}

	async function signedIn(account, chainId = chain.id) {
		const { status, body } = await signIn(account, chainId);
		assert.equal(status, 200, JSON.stringify(body));
		return body;
	}

	// isContract tests that who signed in is the contract on its chain.
	function isContract(body, account) {
		assert.deepEqual(body.user.wallets, [`eip155:${chain.id}:${account.address}`]);
	}

	function refused(answer, status = 400, code = 'invalid_signature') {
		assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(answer.body));
	}

	// middle is the one of numbers that as many are above as below: a machine may have much else to do at any moment.
	const middle = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

	// take answers how long a plain key among many that sign in at once takes, in milliseconds.
	const take = async (chainId) => middle(await Promise.all(Array.from({ length: 24 }, async () => {
		const began = performance.now();
		await signedIn(newKey(), chainId);
		return performance.now() - began;
	})));

	const believes = (account, message, signature) => chain.client.verifyMessage({ address: account.address, message, signature });

	test('a plain key signs in as itself, on whatever chain', async () => {
		const key = newKey();
		for (const chainId of [unasked, chain.id, fading.id, 424242]) {
			assert.deepEqual((await signedIn(key, chainId)).user.wallets, [key.address]);
		}
	});

	test('a Safe of one owner signs in, and is the same account the next time', async () => {
		const owner = newKey();
		const safe = await chain.safe(1, [owner]);
		const first = await signedIn(safe);
		isContract(first, safe);
		assert.equal((await signedIn(safe)).user.id, first.user.id);
		assert.notEqual((await signedIn(owner)).user.id, first.user.id, 'its owner is somebody else');
		refused(await signIn({ address: safe.address, signMessage: (text) => owner.signMessage(text) }));
	});

	test('a Safe of two owners signs in by both', async () => {
		const owners = [newKey(), newKey()];
		const safe = await chain.safe(2, owners);
		isContract(await signedIn(safe), safe);
		refused(await signIn({ ...safe, signMessage: async (text) => (await safe.signMessage(text)).slice(0, 2 + 130) }));
	});

	// Its owners sign by a transaction, and the site gets an empty signature: viem calls that no signature.
	test('a Safe that signs on the chain signs in with an empty signature', async () => {
		const safe = await chain.safeOnChain();
		let viem;
		isContract(await signedIn({
			address: safe.address,
			signMessage: async ({ message }) => {
				const signature = await safe.signMessage({ message });
				viem = await believes(safe, message, signature);
				return signature;
			},
		}), safe);
		assert.equal(viem, false);
		refused(await signIn({ address: safe.address, signMessage: async () => '0x' }));
	});

	test('any contract that says yes signs in (ERC-1271), and says it of its owner only', async () => {
		const [owner, stranger] = [newKey(), newKey()];
		const address = await chain.contract('OwnerWallet', owner.address);
		isContract(await signedIn({ ...owner, address }), { address });
		refused(await signIn({ ...stranger, address }));
	});

	// The same text, signed for another wallet of the same owner, is not a signature for this one: it names its address.
	test('what an owner signed for one wallet is good for no other one', async () => {
		const owner = newKey();
		const [one, two] = [await chain.contract('OwnerWallet', owner.address), await chain.contract('OwnerWallet', owner.address)];
		const { body } = await call('challenge/create', { address: one, chainId: chain.id });
		const signature = await owner.signMessage({ message: body.challengeMessage });
		refused(await call('challenge/sign', { challenge: body.challengeMessage.replace(one, two), signature }), 400, 'invalid_message');
	});

	test('an account with delegated code is still its key\'s, and lets in whom its code lets in (EIP-7702)', async () => {
		const [key, session, stranger] = [newKey(), newKey(), newKey()];
		const before = await signedIn(key);
		await chain.delegated(key, await chain.contract('DelegateSession'), chain.data('DelegateSession', 'init', session.address));
		assert.equal((await signedIn(key)).user.id, before.user.id);
		const other = await signedIn({ ...session, address: key.address });
		isContract(other, key);
		assert.notEqual(other.user.id, before.user.id);
		refused(await signIn({ ...stranger, address: key.address }));
	});

	test('a delegate without signatures of its own locks nobody out', async () => {
		const key = newKey();
		await chain.delegated(key, await chain.contract('DelegateNo1271'));
		assert.deepEqual((await signedIn(key)).user.wallets, [key.address]);
		refused(await signIn({ ...newKey(), address: key.address }));
	});

	test('a wallet that is not deployed yet signs in where its factory is listed (ERC-6492)', async () => {
		const owner = newKey();
		const future = await chain.undeployed(factory, owner);
		const { user } = await signedIn(future);
		isContract({ user }, future);
		assert.equal(await chain.client.getCode({ address: future.address }), undefined, 'it was deployed within the check only');
		// Once it is deployed, it is the same account, with the signature wrapped or not.
		await chain.client.waitForTransactionReceipt({ hash: await chain.client.sendTransaction({ to: factory, data: future.data }) });
		assert.equal((await signedIn(future)).user.id, user.id);
		assert.equal((await signedIn({ ...owner, address: future.address })).user.id, user.id);
	});

	test('not by a factory that is not listed, nor by another key', async () => {
		refused(await signIn(await chain.undeployed(unlisted, newKey())));
		const future = await chain.undeployed(factory, newKey());
		refused(await signIn({ address: future.address, signMessage: async (text) => wrap(factory, future.data, await newKey().signMessage(text)) }));
		refused(await signIn({ ...newKey(), address: future.address }));
	});

	// A signature of ERC-6492 carries a call, which whoever checks it makes before. Of a wallet whose control can be had for a
	// moment, for a price that nobody pays within a check, the call makes a stranger its owner.
	describe('viem calls it good, the gateway does not:', () => {
		const stranger = newKey();
		// as answers a wallet at an address for which the stranger signs, and checks what viem makes of each signature.
		const as = (address, sign) => ({
			address,
			async signMessage({ message }) {
				const signature = await sign(await stranger.signMessage({ message }));
				assert.equal(await believes({ address }, message, signature), true, 'viem calls it good');
				return signature;
			},
		});

		test('a call that takes a deployed wallet over', async () => {
			const owner = newKey();
			const sale = await chain.contract('ForSaleWallet', owner.address);
			refused(await signIn(as(sale, (signature) => wrap(sale, chain.data('ForSaleWallet', 'buy', stranger.address), signature))));
			isContract(await signedIn({ ...owner, address: sale }), { address: sale });
		});

		test('calls that deploy a wallet and take it over', async () => {
			const future = await chain.undeployed(factory, newKey(), 2);
			const both = await chain.contract('Chain2');
			const calls = chain.data('Chain2', 'go', factory, future.data, future.address, chain.data('ForSaleWallet', 'buy', stranger.address));
			refused(await signIn(as(future.address, (signature) => wrap(both, calls, signature))));
		});

		test('a wallet of a factory that nobody listed', async () => {
			const future = await chain.undeployed(unlisted, stranger);
			refused(await signIn(as(future.address, (signature) => wrap(unlisted, future.data, signature))));
		});

		test('an answer of a megabyte', async () => {
			refused(await signIn(as(await chain.contract('BombWallet'), (signature) => signature)));
		});
	});

	test('the zero address has no wallet', async () => {
		refused(await call('challenge/create', { address: zeroAddress, chainId: chain.id }), 400, 'invalid_address');
		const { body } = await call('challenge/create', {});
		const message = createSiweMessage({ ...body, address: zeroAddress, chainId: chain.id });
		refused(await call('challenge/sign', { challenge: message, signature: `0x${'00'.repeat(64)}1b` }), 400, 'invalid_message');
	});

	test('what is no wallet signs nothing', async (t) => {
		const key = newKey();
		const strange = {
			'a contract that echoes its call': await chain.contract('EchoWallet'),
			'the value and no more': await chain.contract('ShortReturnWallet'),
			'the value and trash': await chain.contract('DirtyReturnWallet'),
			'a precompiled contract, which echoes its call': '0x0000000000000000000000000000000000000004',
			'a precompiled contract, which checks signatures': '0x0000000000000000000000000000000000000100',
			'an address without code': newKey().address,
			'a contract that never ends': await chain.contract('LoopWallet'),
			'a contract that reverts': await chain.contract('RevertWallet'),
		};
		for (const [name, address] of Object.entries(strange)) {
			await t.test(name, async () => {
				refused(await signIn({ ...key, address }));
				refused(await signIn({ address, signMessage: async () => '0x' }));
			});
		}
	});

	// OffchainLookup (ERC-3668) asks whoever calls to fetch a URL, which the contract chose.
	test('a contract that sends the gateway elsewhere is not followed', async () => {
		let fetched = 0;
		const elsewhere = createServer((req, res) => { fetched++; res.end('{"data":"0x1626ba7e"}'); });
		await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
		try {
			const address = await chain.offchainLookup(`http://127.0.0.1:${elsewhere.address().port}/{sender}/{data}.json`);
			refused(await signIn({ ...newKey(), address }));
			assert.equal(fetched, 0);
		} finally {
			elsewhere.close();
		}
	});

	test('who does not own a wallet any more does not sign in, and the new owner is the same account', async () => {
		const [owner, next] = [newKey(), newKey()];
		const address = await chain.contract('ForSaleWallet', owner.address);
		const { user } = await signedIn({ ...owner, address });
		await chain.call(address, 'ForSaleWallet', 'buy', next.address);
		refused(await signIn({ ...owner, address }));
		assert.equal((await signedIn({ ...next, address })).user.id, user.id);
	});

	test('an endpoint of another chain than it is configured for is not believed', async () => {
		const owner = newKey();
		const address = await chain.contract('OwnerWallet', owner.address);
		refused(await signIn({ ...owner, address }, 10), 503, 'rpc_unavailable');
		assert.equal((await signedIn(owner, 10)).user.username, owner.address);
	});

	test('a contract on a chain that is not asked is refused, and told why', async () => {
		const owner = newKey();
		const address = await chain.contract('OwnerWallet', owner.address);
		const answer = await signIn({ ...owner, address }, unasked);
		refused(answer);
		assert.equal(answer.body.reason, 'chain_not_checked', JSON.stringify(answer.body));
	});

	test('while a chain cannot be asked, its contracts wait, and nobody else does', async () => {
		const owner = newKey();
		const address = await fading.contract('OwnerWallet', owner.address);
		await signedIn({ ...owner, address }, fading.id);
		const alone = await take(fading.id);
		await fading.stop();
		const answers = await Promise.all(Array.from({ length: 24 }, async (_, i) => {
			if (i % 3 === 0) {
				const answer = await signIn({ ...owner, address }, fading.id);
				refused(answer, 503, 'rpc_unavailable');
				assert.ok(Number(answer.headers.get('retry-after')) > 0);
				return;
			}
			const key = newKey();
			const began = performance.now();
			await signedIn(key, i % 3 === 1 ? fading.id : chain.id);
			return performance.now() - began;
		}));
		assert.ok(middle(answers.filter(Boolean)) < 4 * alone + 2000, 'plain keys waited');
		const other = await chain.contract('OwnerWallet', owner.address);
		isContract(await signedIn({ ...owner, address: other }), { address: other });
		assert.ok(!gate.log().includes(secret), 'the key of the provider is in the log');
	});

	// An endpoint that takes questions and answers none is worse than one that is gone.
	test('a chain that never answers makes nobody wait but those who ask it', async () => {
		const alone = await take(silentChain);
		const asking = Array.from({ length: 24 }, async (_, i) => {
			const answer = await signIn({ ...newKey(), address: newKey().address }, silentChain, `198.51.100.${i}`);
			refused(answer, 503, 'rpc_unavailable');
		});
		const waited = await take(silentChain);
		assert.ok(waited < 4 * alone + 2000, `plain keys waited ${waited} ms, and ${alone} ms while nobody asked`);
		await Promise.all(asking);
	});

	describe('in the browser', () => {
		const choose = async (page) => {
			await page.goto(`${gate.origin}/auth/sign-in?return_to=%2Fauth%2Faccount`);
			await button(page, 'Good Wallet').click();
		};

		test('a Safe signs in with nothing more to click', async () => {
			const safe = await chain.safe(1, [newKey()]);
			await gate.visit({ wallets: [wallet({ account: safe, chainId: toHex(chain.id) })] }, async (page) => {
				await choose(page);
				await at(page, '/auth/account');
				assert.match(await page.textContent('main'), new RegExp(safe.address));
				assert.match(await page.textContent('main'), new RegExp(`chain ${chain.id}`));
				assert.deepEqual(page.asked, ['POST challenge/create', 'POST challenge/sign']);
			});
		});

		test('on a chain that is not checked the page says so, and what to do', async () => {
			const safe = await chain.safe(1, [newKey()]);
			await gate.visit({ wallets: [wallet({ account: safe, chainId: toHex(unasked) })], expected: [/status of 400/] }, async (page) => {
				await choose(page);
				await says(page, /contract/);
				await says(page, /does not check/);
			});
		});

		test('while its chain cannot be asked the page says to wait', async () => {
			const safe = await chain.safe(1, [newKey()]);
			await gate.visit({ wallets: [wallet({ account: safe, chainId: toHex(10) })], expected: [/status of 503/] }, async (page) => {
				await choose(page);
				await says(page, 'Your wallet is a contract, and its signature cannot be checked at the moment.');
			});
		});
	});
});
