// Rules that ask for evidence, as people meet them: they confirm on a page and come back, and what they sent is not lost.
//
// AUTHGATE_SCREENSHOTS names a directory for pictures of the page, at both widths and in both colour schemes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBytes } from 'node:crypto';
import { authenticator, wallet } from './browser.mjs';
import { at, button, look, reach, says } from './people.mjs';
import { stage } from './stage.mjs';

const gate = stage(() => ({
	site: `
		allow signed_in /vault/* {
			with passkey
			within 5m
		}
	`,
}));
const { visit } = gate;

const use = 'Use your passkey';

// enter signs in with a wallet and, unless there is to be none, adds a passkey, which was used for nothing yet.
async function enter(page, { passkey = true } = {}) {
	const device = await authenticator(page);
	await page.goto(`${gate.origin}/auth/sign-in?return_to=/auth/account`);
	await button(page, 'Good Wallet').click();
	await at(page, '/auth/account');
	if (passkey) {
		await button(page, 'Add a passkey').click();
		await says(page, 'The passkey is added.');
	}
	return device;
}

const form = (action, kind = 'multipart/form-data') => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Form</title>
	<form method="post" action="${action}" enctype="${kind}">
	<label>Text <textarea name="text"></textarea></label><label>File <input name="file" type="file"></label><button>Save</button></form>`;

// write opens a page of the application with a form, and fills that in.
async function write(page, { action = '/vault/notes?kind=a%2Fb', file, text = 'ünï "code"\nof two lines' } = {}) {
	await page.route('**/public/form', (r) => r.fulfill({ contentType: 'text/html', body: form(action) }));
	await page.goto(`${gate.origin}/public/form`);
	await page.getByLabel('Text').fill(text);
	if (file) {
		await page.getByLabel('File').setInputFiles({ name: 'späß.bin', mimeType: 'application/x-odd', buffer: file });
	}
}

const onConfirm = (page) => page.waitForURL((url) => url.pathname === '/auth/confirm');
const arrived = () => gate.seen.filter(({ method }) => method === 'POST');

// parts are the parts of a body, by a parser that is not the gateway's.
async function parts({ body, headers }) {
	const all = {};
	for (const [name, value] of await new Response(body, { headers: { 'content-type': headers['content-type'] } }).formData()) {
		all[name] = typeof value === 'string' ? value : { name: value.name, type: value.type, bytes: Buffer.from(await value.arrayBuffer()) };
	}
	return all;
}

test('a page that asks for a passkey is reached after a confirmation', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await enter(page);
		await page.goto(`${gate.origin}/vault/x?a=b&c=d`);
		await onConfirm(page);
		assert.match(await page.textContent('main'), /Asked for: Passkey, in the last 5 min/);
		assert.match(await page.textContent('main'), /You will be taken to\s+\/vault\/x\?a=b&c=d/);
		assert.equal(await page.locator('[data-method]').count(), 1);
		await button(page, use).click();
		await at(page, '/vault/x?a=b&c=d');
		await page.goto(`${gate.origin}/vault/y`);
		assert.equal(new URL(page.url()).pathname, '/vault/y');
	});
});

test('a form with a file is sent, confirmed for, and arrives to the byte; once', async () => {
	await visit({ wallets: [wallet()], expected: [/status of 410/] }, async (page) => {
		await enter(page);
		const file = randomBytes(50_000);
		await write(page, { file });
		const typed = page.waitForRequest((request) => request.method() === 'POST' && request.url().includes('/vault/'));
		const before = arrived().length;
		await button(page, 'Save').click();
		await onConfirm(page);
		const kind = (await typed).headers()['content-type'];
		assert.match(await page.textContent('main'), /What you sent is kept for ten minutes/);
		assert.equal(arrived().length, before);
		await button(page, use).click();
		await at(page, '/vault/notes?kind=a%2Fb');
		assert.equal(arrived().length, before + 1);
		const got = arrived().at(-1);
		// The boundary is the browser's, so that the same kind means the same bytes between the same lines.
		assert.equal(got.headers['content-type'], kind);
		assert.equal(Number(got.headers['content-length']), got.body.length);
		assert.deepEqual(await parts(got), {
			text: 'ünï "code"\r\nof two lines', file: { name: 'späß.bin', type: 'application/x-odd', bytes: file },
		});
		assert.equal(got.headers.referer, `${gate.origin}/public/form`);
		assert.equal(got.headers.origin, gate.origin);
		assert.doesNotMatch(got.headers.cookie ?? '', /authgate/);
		// A browser sends the same once more where its user reloads; going back leads to the form, not to a page between.
		await page.reload();
		await page.getByRole('heading', { name: 'Nothing was sent now' }).waitFor();
		assert.equal(arrived().length, before + 1);
		await page.goBack();
		await at(page, '/public/form');
	});
});

test('what is too large is not lost in silence: the page leads back to the form', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await enter(page);
		const text = 'long in the making '.repeat(1 << 16); // more than a megabyte
		await write(page, { text });
		const before = arrived().length;
		await button(page, 'Save').click();
		await onConfirm(page);
		assert.match(await page.textContent('main'), /more than the 64 KiB that can be kept/);
		await button(page, 'Back to the form').click();
		await at(page, '/public/form');
		assert.equal(await page.getByLabel('Text').inputValue(), text);
		await button(page, 'Save').click();
		await onConfirm(page);
		await button(page, use).click();
		await at(page, '/public/form');
		assert.equal(arrived().length, before);
		await button(page, 'Save').click();
		await at(page, '/vault/notes?kind=a%2Fb');
		assert.equal((await parts(arrived().at(-1))).text, text);
	});
});

// addPasskey goes to the account for it, and back.
async function addPasskey(page) {
	await page.getByRole('link', { name: 'Your account' }).click();
	await page.waitForURL((url) => url.pathname === '/auth/account');
	await button(page, 'Add a passkey').click();
	await says(page, 'The passkey is added.');
	await page.getByRole('link', { name: 'Back to where you were' }).click();
	await onConfirm(page);
}

test('an account without a passkey is told so, and led to where one is added', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await enter(page, { passkey: false });
		await page.goto(`${gate.origin}/vault/x`);
		await onConfirm(page);
		await page.getByText('Your account has none of what is asked for: Passkey.').waitFor();
		assert.equal(await button(page, use).count(), 0);
		await addPasskey(page);
		await button(page, use).click();
		await at(page, '/vault/x');
	});
});

test('what was sent arrives, also where a passkey is added first', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await enter(page, { passkey: false });
		await write(page, { text: 'added first' });
		await button(page, 'Save').click();
		await onConfirm(page);
		await addPasskey(page);
		await button(page, use).click();
		await at(page, '/vault/notes?kind=a%2Fb');
		assert.equal((await parts(arrived().at(-1))).text, 'added first');
	});
});

test('the keyboard alone is enough', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await enter(page);
		await write(page);
		await page.getByLabel('Text').focus();
		await page.keyboard.press('Tab');
		await page.keyboard.press('Tab');
		await page.keyboard.press('Enter');
		await onConfirm(page);
		await page.locator('[data-method]:not([hidden])').waitFor();
		await reach(page, use);
		await page.keyboard.press('Enter');
		await at(page, '/vault/notes?kind=a%2Fb');
		assert.equal((await parts(arrived().at(-1))).text, 'ünï "code"\r\nof two lines');
	});
});

test('a confirmation in one tab lets another one go on', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await enter(page);
		await write(page);
		await button(page, 'Save').click();
		await onConfirm(page);
		const before = arrived().length;
		const other = await page.context().newPage();
		await authenticator(other);
		await other.goto(`${gate.origin}/auth/account`);
		await other.evaluate(() => new BroadcastChannel('authgate').postMessage('signed-in')); // of something else
		await onConfirm(page);
		await page.locator('[data-method]:not([hidden])').waitFor();
		await other.close();
		await button(page, use).click();
		await at(page, '/vault/notes?kind=a%2Fb');
		assert.equal(arrived().length, before + 1);
	});
});

// Were the page to hold for given what the rule still asks for, it would send the form again and again.
test('no page goes in circles', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await enter(page);
		await write(page);
		let posts = 0;
		page.on('request', (request) => { posts += request.method() === 'POST' && new URL(request.url()).pathname === '/vault/notes'; });
		await button(page, 'Save').click();
		await onConfirm(page);
		const held = (url) => url.replace(/&with=passkey&within=300/, '&with=wallet');
		await page.goto(held(page.url()));
		await page.waitForURL((url) => url.pathname === '/auth/confirm' && url.searchParams.get('with') === 'passkey');
		assert.equal(posts, 2);
		await page.goto(held(page.url()));
		await button(page, 'Send it').waitFor();
		await page.waitForLoadState('networkidle');
		assert.equal(posts, 2);
		await button(page, 'Send it').click();
		await page.waitForURL((url) => url.searchParams.get('with') === 'passkey');
		assert.equal(posts, 3);
	});
});

test('who cancels, or uses another account, is where they were', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		const device = await enter(page);
		await page.goto(`${gate.origin}/vault/x`);
		await onConfirm(page);
		await device.touch(false);
		await button(page, use).click();
		await says(page, 'Choose your passkey');
		await button(page, 'Cancel').click();
		await says(page, 'Cancelled.');
		await button(page, 'Use another account').click();
		await says(page, 'You are signed out.');
		assert.equal(new URL(page.url()).searchParams.get('return_to'), '/vault/x');
	});
});

look({
	'confirm-kept': { show: async (page) => { await write(page); await button(page, 'Save').click(); } },
	'confirm-lost': { show: async (page) => { await write(page, { text: 'x'.repeat(70_000) }); await button(page, 'Save').click(); } },
	'confirm-lacking': { passkey: false, show: async (page) => { await page.goto(`${gate.origin}/vault/x`); } },
	'confirm-done': { show: async (page) => { await page.goto(`${gate.origin}/auth/confirm?return_to=/vault/x&with=wallet`); } },
	'confirm-from-right-to-left': { locale: 'ar', passkey: false, show: async (page) => { await page.goto(`${gate.origin}/auth/confirm?return_to=/vault/x&with=passkey&within=300&lost=gone`); } },
}, (device, { show, passkey, ...options }, run) => visit({ ...device, ...options, wallets: [wallet()] }, async (page) => {
	await enter(page, { passkey });
	await show(page);
	await onConfirm(page);
	await page.waitForLoadState('networkidle');
	await run(page);
}));
