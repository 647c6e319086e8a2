// What people do on the pages and see of them, and answers of the gateway that a test cannot bring about.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desktop, phone } from './stage.mjs';
import { photograph, unsound } from './looks.mjs';

export const button = (page, name) => page.getByRole('button', { name, exact: true });
export const dialog = (page) => page.getByRole('dialog');
export const status = (page) => page.getByRole('status');
export const at = (page, pathname) => page.waitForURL((url) => url.pathname + url.search === pathname);
export const says = (page, words) => page.getByRole('status').filter({ hasText: words }).waitFor();
export const focused = (page) => page.evaluate(() => document.activeElement.ariaLabel || document.activeElement.textContent || document.activeElement.name);

// ways are the names of what the account signs in with.
export async function ways(page) {
	await page.locator('.ways li').first().waitFor();
	return page.locator('.ways .name').allTextContents();
}

// ready waits for the scripts: before, a key that begins something is lost, where a click of a test waits by itself.
export const ready = (page) => page.waitForFunction(() => !document.querySelector('[data-starts]:disabled'));

export async function signOut(page) {
	await button(page, 'Sign out').click();
	await says(page, 'You are signed out.');
	await ready(page);
}

// answer has the gateway answer a route with this problem, as often as times says or for ever.
export const answer = (page, route, code, name, { headers = {}, times, ...members } = {}) => page.route(`**/auth/${route}`, (r) => r.fulfill({
	status: code, headers: { 'content-type': 'application/problem+json', ...headers }, body: JSON.stringify({ status: code, code: name, ...members }),
}), { times });

// rewrite changes what the gateway answers at a route.
export const rewrite = (page, route, change) => page.route(`**/auth/${route}`, async (r) => {
	const response = await r.fetch();
	const json = await response.json();
	change(json);
	await r.fulfill({ response, json });
});

// reach tabs until what is wanted has the focus, by what focused calls it, and sees the focus on the way.
export async function reach(page, wanted) {
	const seen = [];
	for (let i = 0; i < 24; i++) {
		await page.keyboard.press('Tab');
		seen.push(await focused(page));
		const { outlineStyle, outlineWidth } = await page.evaluate(() => {
			const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
			return { outlineStyle, outlineWidth };
		});
		if (seen.at(-1) === wanted) {
			assert.ok(outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2, `the focus is not to be seen on ${wanted}`);
			return;
		}
	}
	assert.fail(`${wanted} is not to be reached: ${seen.join(', ')}`);
}

// assertSoon waits for what nobody announces.
export async function assertSoon(check) {
	for (let i = 0; ; i++) {
		try {
			return await check();
		} catch (error) {
			if (i === 1200) { // a minute at least
				throw error;
			}
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
	}
}

// look tests that states of pages are sound for assistive technology, at both widths and in both colour schemes, fit their
// width and can be touched, and photographs them. play(device, state, run) opens a page, brings the state about and calls
// run with the page.
export function look(states, play) {
	for (const [name, state] of Object.entries(states)) {
		for (const [size, device] of [['1280', desktop], ['390', phone]]) {
			test(`${name} at ${size} px is sound`, () => play(device, state, async (page) => {
				// What is dark differs in its colours alone.
				for (const [colorScheme, rules] of [['light'], ['dark', ['color-contrast']]]) {
					await page.emulateMedia({ colorScheme });
					await photograph(page, `${name}-${size}-${colorScheme}.png`);
					assert.deepEqual(await unsound(page, rules), [], colorScheme);
				}
				assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll('button, a, input')]
					.filter((el) => el.offsetParent && el.offsetHeight < 44).map((el) => el.textContent || el.name)), [], 'too small to touch');
				await page.setViewportSize({ width: 320, height: 600 }); // WCAG 2.2, 1.4.10: 1280 px at 400 %
				assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
			}));
		}
	}
}
