// One account on several registrable domains: Chromium, which keeps the cookies of one from the other, and real https.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { launch, wallet } from './browser.mjs';
import { button, look, reach, says } from './people.mjs';
import { stage } from './stage.mjs';

const home = 'https://app.home.test';
const shop = 'https://shop.else.test';
const gate = stage(() => ({
	hosts: ['app.home.test', 'shop.else.test'],
	site: (host) => (host === 'app.home.test' ? '' : `sign_in_at ${home}`),
}));
let browser;
after(() => browser?.close());

// visit runs run in a page of its own with a wallet, whose every page is of one of the two sites.
const visit = async (run, device = {}) => gate.visit({
	...device, browser: browser ??= await launch(...gate.switches), wallets: [wallet()], expected: [/status of 40[0-9]/],
}, run, [home, shop]);

const seen = async (page) => JSON.parse(await page.textContent('#seen'));
const arrives = (page, href) => page.waitForURL(href);

// enter opens an account at home, where the shop has sent the browser.
async function enter(page) {
	await page.waitForURL(`${home}/auth/sign-in?**`);
	await page.getByText(shop, { exact: true }).waitFor();
	await button(page, 'Good Wallet').click();
}

test('one sign-in is good on both domains, and one sign-out', async () => {
	await visit(async (page) => {
		await page.goto(`${shop}/cart?item=7&back=%2Fx`);
		await enter(page);
		await arrives(page, `${shop}/cart?item=7&back=%2Fx`);
		const at = await seen(page);
		assert.equal(at.url, '/cart?item=7&back=%2Fx');
		assert.ok(at.headers['x-authgate-subject']);
		assert.ok(!at.headers.cookie, at.headers.cookie);
		await page.goto(`${home}/reports`);
		assert.equal((await seen(page)).headers['x-authgate-subject'], at.headers['x-authgate-subject']);

		// Each domain has its own cookie, and what held them together is gone.
		const names = (url) => page.context().cookies(url).then((all) => all.map((c) => c.name).filter((name) => !name.endsWith('-device')));
		assert.deepEqual(await names(home), ['__Host-authgate']);
		assert.deepEqual(await names(shop), ['__Host-authgate']);

		// The account of the shop is that at home. Signed out there is signed out here.
		await page.goto(`${shop}/auth/account`);
		await page.waitForURL(`${home}/auth/account`);
		await button(page, 'Sign out').click();
		await says(page, 'You are signed out.');
		await page.goto(`${shop}/cart`);
		await page.waitForURL(`${home}/auth/sign-in?**`);
	});
});

test('who is signed in at one domain is at the other without a question, and signs out of both there', async () => {
	await visit(async (page) => {
		await page.goto(`${shop}/cart`);
		await enter(page);
		await arrives(page, `${shop}/cart`);
		const { headers } = await seen(page);
		await page.context().clearCookies({ domain: 'shop.else.test' });
		await page.goto(`${shop}/other`);
		await arrives(page, `${shop}/other`);
		assert.equal((await seen(page)).headers['x-authgate-subject'], headers['x-authgate-subject']);
		assert.equal(await page.evaluate(async () => (await fetch('/auth/sign-out', { method: 'POST' })).status), 204);
		await page.goto(`${home}/reports`);
		await page.waitForURL(`${home}/auth/sign-in?**`);
	});
});

// fail comes back from home with what is good no more, for the second time, to a place on the shop.
const fail = async (page, back) => {
	const answer = await page.goto(`${shop}/auth/hand-off?code=${'A'.repeat(43)}&back=${Buffer.from(back).toString('base64url')}&again`);
	assert.equal(answer.status(), 400);
	await page.getByRole('heading', { name: 'The sign-in was not taken over' }).waitFor();
};

test('who could not be taken over begins again by one key, and arrives where they wanted to go', async () => {
	await visit(async (page) => {
		await fail(page, '/cart?item=7&back=%2Fx');
		await reach(page, 'Try again');
		await page.keyboard.press('Enter');
		await enter(page);
		await arrives(page, `${shop}/cart?item=7&back=%2Fx`);
		await fail(page, '//evil.test/');
		assert.equal(await page.getByRole('link', { name: 'Try again' }).getAttribute('href'), '/auth/sign-in?return_to=%2f');
	});
});

look({ 'hand-off-failed': (page) => fail(page, '/cart') }, (device, state, run) => visit(async (page) => {
	await state(page);
	await run(page);
}, device));
