// Solana wallets in the pages, by the Wallet Standard, and programs with plain keys over JSON.
import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { base58 } from '@scure/base';
import { launch, open, wallet } from './browser.mjs';
import { at, says } from './people.mjs';
import { start } from './server.mjs';

let gate, browser;
before(async () => {
	[gate, browser] = await Promise.all([start({ global: 'wallet {\nsolana mainnet\n}\nkeys ed25519 ml-dsa-65' }), launch()]);
});
after(async () => {
	await browser?.close();
	await gate?.stop();
});

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const utf8 = (text) => new TextEncoder().encode(text);

// solana describes a wallet to put into a page: signIn and signMessage are what it can, declines whether its owner does.
function solana(options = {}) {
	const { privateKey, publicKey } = generateKeyPairSync('ed25519');
	const key = Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url');
	return { name: 'Sun', signIn: true, signMessage: true, late: 0, ...options, privateKey, key, address: base58.encode(key) };
}

// visit opens a page with wallets of Solana, and of Ethereum, in it.
async function visit(solanas, wallets, go) {
	const page = await open(browser, gate.origin, { wallets });
	try {
		await page.exposeFunction('signOnSolana', (address, bytes) => [...sign(null, Buffer.from(bytes), solanas.find((w) => w.address === address).privateKey)]);
		await page.addInitScript(install, solanas.map(({ privateKey, key, ...w }) => ({ ...w, key: [...key] })));
		await go(page);
		assert.deepEqual(page.faults, []);
	} finally {
		await page.context().close();
	}
}

// install runs in the page, before its scripts. The wallet is written after the Wallet Standard's own example and text.
function install(wallets) {
	window.solanaCalls = [];
	for (const w of wallets) {
		const account = { address: w.address, publicKey: new Uint8Array(w.key), chains: ['solana:mainnet'], features: [] };
		const sign = async (signedMessage) => {
			if (w.declines) throw Object.assign(new Error('User rejected the request.'), { code: 4001 });
			return { account, signedMessage, signature: new Uint8Array(await window.signOnSolana(w.address, [...signedMessage])), signatureType: 'ed25519' };
		};
		const text = (input) => {
			const names = { uri: 'URI', version: 'Version', chainId: 'Chain ID', nonce: 'Nonce', issuedAt: 'Issued At', expirationTime: 'Expiration Time', notBefore: 'Not Before', requestId: 'Request ID' };
			let message = `${input.domain} wants you to sign in with your Solana account:\n${input.address ?? w.address}`;
			if (input.statement) message += `\n\n${input.statement}`;
			const fields = Object.entries(names).filter(([name]) => input[name]).map(([name, label]) => `${label}: ${input[name]}`);
			return `${message}\n\n${fields.join('\n')}`;
		};
		const features = {
			'standard:connect': { version: '1.0.0', async connect() { window.solanaCalls.push('connect'); return { accounts: [account] }; } },
		};
		if (w.signMessage) features['solana:signMessage'] = { version: '1.1.0', signMessage: (...all) => { window.solanaCalls.push('signMessage'); return Promise.all(all.map(({ message }) => sign(message))); } };
		if (w.signIn) features['solana:signIn'] = { version: '1.0.0', signIn: (...all) => { window.solanaCalls.push('signIn'); return Promise.all(all.map((input) => sign(new TextEncoder().encode(text(input))))); } };
		const it = { version: '1.0.0', name: w.name, icon: 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', chains: w.chains ?? ['solana:mainnet'], accounts: [], features };
		const register = () => {
			const callback = ({ register }) => register(it);
			window.dispatchEvent(new CustomEvent('wallet-standard:register-wallet', { detail: callback }));
			window.addEventListener('wallet-standard:app-ready', ({ detail }) => callback(detail));
		};
		if (w.late) setTimeout(register, w.late);
		else register();
	}
}

const choice = (page, name) => page.getByRole('button', { name, exact: true });
const signInPage = (page) => page.goto(`${gate.origin}/auth/sign-in?return_to=%2Fauth%2Faccount`);

test('wallets of Solana stand beside those of Ethereum, whenever they come, and others do not', async () => {
	const all = [solana(), solana({ name: 'Late', late: 700 }), solana({ name: 'Other chain', chains: ['sui:mainnet'] }), solana({ name: 'Cannot sign', signIn: false, signMessage: false })];
	await visit(all, [wallet({ name: 'Both' })], async (page) => {
		await signInPage(page);
		await choice(page, 'Late · Solana').waitFor();
		assert.deepEqual(await page.getByRole('listitem').allTextContents(), ['Both', 'Sun · Solana', 'Late · Solana']);
	});
});

test('a wallet that comes after another one has gone is offered', async () => {
	await visit([solana()], [], async (page) => {
		await signInPage(page);
		await choice(page, 'Sun · Solana').waitFor();
		await page.evaluate(() => {
			const like = (name) => ({ version: '1.0.0', name, icon: '', chains: ['solana:mainnet'], accounts: [], features: { 'solana:signIn': { version: '1.0.0', signIn() {} } } });
			const comes = (wallet) => {
				let goes;
				window.dispatchEvent(new CustomEvent('wallet-standard:register-wallet', { detail: ({ register }) => { goes = register(wallet); } }));
				return goes;
			};
			const goes = comes(like('Moon'));
			comes(like('Mars'));
			goes();
			comes(like('Venus'));
		});
		await choice(page, 'Venus · Solana').waitFor();
		assert.deepEqual(await page.getByRole('listitem').allTextContents(), ['Sun · Solana', 'Mars · Solana', 'Venus · Solana']);
	});
});

test('a wallet that knows solana:signIn is asked once', async () => {
	const sun = solana();
	await visit([sun], [], async (page) => {
		await signInPage(page);
		await choice(page, 'Sun · Solana').click();
		await at(page, '/auth/account');
		const { user } = await page.evaluate(() => fetch('/auth/session').then((r) => r.json()));
		assert.deepEqual([user.username, user.wallets, user.methods], [`solana:${sun.address}`, [`solana:${sun.address}`], ['wallet']]);
		assert.match(await page.textContent('main'), new RegExp(sun.address));
		await page.goto(`${gate.origin}/reports`);
		assert.equal(gate.seen.at(-1).headers['x-authgate-wallet'], `solana:${sun.address}`);
	});
});

test('another wallet connects and signs the message of the gateway', async () => {
	const sun = solana({ signIn: false });
	await visit([sun], [], async (page) => {
		await signInPage(page);
		await choice(page, 'Sun · Solana').click();
		await at(page, '/auth/account');
		assert.match(await page.textContent('main'), new RegExp(sun.address));
	});
});

test('who declines may try again', async () => {
	await visit([solana({ declines: true })], [], async (page) => {
		await signInPage(page);
		await choice(page, 'Sun · Solana').click();
		await says(page, 'declined');
	});
});

test('a wallet of Solana is linked on the account page', async () => {
	const [good, sun] = [wallet(), solana()];
	await visit([sun], [good], async (page) => {
		await signInPage(page);
		await choice(page, good.name).click();
		await at(page, '/auth/account');
		await page.getByRole('button', { name: 'Add a wallet' }).click();
		await choice(page, 'Sun · Solana').click();
		await page.locator('code', { hasText: sun.address }).waitFor();
		const { user } = await page.evaluate(() => fetch('/auth/session').then((r) => r.json()));
		assert.deepEqual(user.wallets, [good.account.address, `solana:${sun.address}`]);
	});
});

const post = async (route, body) => {
	const answer = await fetch(`${gate.origin}/auth/${route}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
	return { status: answer.status, ...(await answer.json()) };
};

test('a program signs in with an Ed25519 key', async () => {
	const { privateKey } = generateKeyPairSync('ed25519');
	const key = `ed25519:${hex(Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x, 'base64url'))}`;
	const { challengeMessage: challenge } = await post('challenge/create', { key });
	const signature = `0x${hex(sign(null, utf8(challenge), privateKey))}`;
	const { access_token, user } = await post('challenge/sign', { challenge, signature });
	assert.deepEqual([user.username, user.keys, user.methods], [key, [key], ['key']]);
	const answer = await fetch(`${gate.origin}/api`, { headers: { Authorization: `Bearer ${access_token}` } });
	assert.equal(answer.status, 200);
	assert.equal((await post('challenge/sign', { challenge, signature })).code, 'challenge_not_found');
});

test('a program signs in with an ML-DSA-65 key', async () => {
	const { publicKey, secretKey } = ml_dsa65.keygen();
	const key = `ml-dsa-65:${hex(publicKey)}`;
	const { challengeMessage: challenge } = await post('challenge/create', { key });
	const signature = `0x${hex(ml_dsa65.sign(utf8(challenge), secretKey))}`;
	const { user, status } = await post('challenge/sign', { challenge, signature, key });
	assert.equal(status, 200);
	assert.deepEqual(user.keys, [`ml-dsa-65:${createHash('sha256').update(publicKey).digest('hex')}`]);
});
