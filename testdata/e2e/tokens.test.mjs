// The page of personal access tokens: one is made, copied, used by a program, narrowed and deleted.
//
// AUTHGATE_SCREENSHOTS names a directory for pictures, as in pages.test.mjs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wallet } from './browser.mjs';
import { answer, at, button, dialog, focused, look, reach, says } from './people.mjs';
import { stage } from './stage.mjs';

const granted = wallet();
const gate = stage(() => ({ global: `grant admin ${granted.account.address}\ngrant editor ${granted.account.address}` }));
const { visit } = gate;
const rows = (page) => page.getByRole('region', { name: 'Your tokens' }).getByRole('listitem');

async function enter(page) {
	await page.goto(`${gate.origin}/auth/sign-in?return_to=/auth/account`);
	await button(page, 'Good Wallet').click();
	await at(page, '/auth/account');
	await page.getByRole('link', { name: 'Access tokens' }).click();
	await page.getByText('You have none.').waitFor();
}

// ask is what a program does with a token.
const carriers = {
	bearer: (token) => ({ Authorization: `Bearer ${token}` }),
	basic: (token) => ({ Authorization: `Basic ${btoa(`any:${token}`)}` }),
	key: (token) => ({ 'X-API-Key': token }),
};
const ask = async (path, headers) => {
	const response = await fetch(`${gate.origin}${path}`, { headers, redirect: 'manual' });
	return [response.status, await response.text()];
};

async function make(page, name, choose = async () => {}) {
	await button(page, 'Make a token').click();
	await page.getByLabel('Name').fill(name);
	await choose();
	await button(page, 'Make it').click();
	await page.getByRole('heading', { name: 'Your new token' }).waitFor();
	return page.locator('[data-token]').textContent();
}

test('a token is made, copied once, used by a program, and locked out when it is deleted', async () => {
	await visit({ wallets: [granted], expected: [] }, async (page) => {
		await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: gate.origin });
		await enter(page);
		const token = await make(page, '<b>backup</b>');
		assert.match(token, /^agp_[\w-]{64}$/);
		assert.equal(await focused(page), 'Your new token');
		await button(page, 'Copy').click();
		await says(page, 'The token is copied.');
		assert.equal(await page.evaluate(() => navigator.clipboard.readText()), token);
		for (const [name, carry] of Object.entries(carriers)) {
			const [status, body] = await ask('/reports', carry(token));
			assert.equal(status, 200, name);
			assert.ok(body.includes(granted.account.address) && !body.includes(token), name);
		}
		assert.equal((await ask('/auth/tokens', carriers.key(token)))[0], 403);
		await page.reload();
		await rows(page).first().waitFor();
		const told = await rows(page).first().textContent();
		assert.match(told, /<b>backup<\/b>.*with all your roles.*wherever you may go.*good until.*last used/s);
		assert.ok(!(await page.content()).includes(token));

		await button(page, 'Delete <b>backup</b>').click();
		await dialog(page).getByRole('button', { name: 'Keep' }).click();
		assert.equal(await focused(page), 'Delete <b>backup</b>');
		await button(page, 'Delete <b>backup</b>').click();
		await dialog(page).getByRole('button', { name: 'Delete' }).click();
		await says(page, '<b>backup</b> is deleted.');
		await page.getByText('You have none.').waitFor();
		for (const [name, carry] of Object.entries(carriers)) assert.equal((await ask('/reports', carry(token)))[0], 401, name);
	});
});

test('a token has the roles and paths that were chosen, and what is refused is told next to its field', async () => {
	await visit({ wallets: [granted], expected: [/status of 40[019]/] }, async (page) => {
		await enter(page);
		await button(page, 'Make a token').click();
		await page.keyboard.press('Enter');
		await page.getByText('Give it a name of up to 64 characters.').waitFor();
		assert.equal(await page.getByLabel('Name').getAttribute('aria-invalid'), 'true');
		await page.keyboard.type('phone');
		await page.getByLabel('Only for these paths').fill('/dav/* reports');
		await page.keyboard.press('Enter');
		await page.getByText('A path begins with a slash').waitFor();
		await page.keyboard.press('Escape');
		await answer(page, 'tokens', 409, 'too_many_tokens', { times: 1 });
		await button(page, 'Make a token').click();
		await page.keyboard.type('phone');
		await page.keyboard.press('Enter');
		await page.getByText('You have 100 tokens. Delete one first.').waitFor();
		await page.keyboard.press('Escape');

		const token = await make(page, 'phone', async () => {
			await page.getByLabel('Good for').selectOption('until I delete it');
			await page.getByLabel('admin').uncheck();
			await page.getByLabel('Only for these paths').fill(' /dav/*  /reports ');
		});
		await rows(page).first().waitFor();
		assert.match(await rows(page).first().textContent(), /with editor.*\/dav\/\*.*\/reports.*good until you delete it.*not used yet/s);
		const [status, body] = await ask('/dav/x', carriers.basic(token));
		assert.equal(status, 200);
		assert.ok(/remote-groups\W+editor\b/.test(body) && !/admin/.test(body), body);
		assert.equal((await ask('/other', carriers.basic(token)))[0], 403);
		await button(page, 'Delete phone').click();
		await dialog(page).getByRole('button', { name: 'Delete' }).click();
		await says(page, 'phone is deleted.');
	});
});

test('a token is made after a fresh sign-in, and all goes by keyboard', async () => {
	await visit({ wallets: [wallet()], expected: [/status of 401/] }, async (page) => {
		await enter(page);
		await answer(page, 'tokens', 401, 'step_up_required', { times: 1 });
		await reach(page, 'Make a token');
		await page.keyboard.press('Enter');
		await page.keyboard.type('script');
		await page.keyboard.press('Enter');
		await dialog(page).getByText('To change this, sign in once more.').waitFor();
		await dialog(page).getByRole('button', { name: 'Good Wallet' }).click();
		await page.getByRole('heading', { name: 'Your new token' }).waitFor();
		await reach(page, 'Delete script');
		await page.keyboard.press('Enter');
		await page.keyboard.press('Shift+Tab');
		await page.keyboard.press('Enter');
		await says(page, 'script is deleted.');
		assert.equal(await focused(page), 'Your tokens');
	});
});

const many = { tokens: [
	{ id: 'a', name: 'Radicale on the phone', created: '2026-01-02T03:04:05Z', paths: ['/dav/*', `/${'long'.repeat(20)}`], roles: [] },
	{ id: 'b', name: 'backup', created: '2026-01-02T03:04:05Z', expires: '2026-02-02T03:04:05Z', last_used: '2026-01-03T03:04:05Z', roles: ['admin', 'editor'] },
] };
const shown = async (page, locale) => {
	await page.route('**/auth/tokens', (r) => r.fulfill({ json: many }));
	await page.goto(`${gate.origin}/auth/sign-in?return_to=/auth/account/tokens`);
	await button(page, 'Good Wallet').click();
	await at(page, '/auth/account/tokens');
	await page.locator('[data-tokens] li').first().waitFor();
	await page.locator('[data-open]').click();
	if (!locale) await page.getByLabel('Name').fill('script');
};
look({
	tokens: { show: shown },
	'tokens-from-right-to-left': { locale: 'ar', show: (page) => shown(page, 'ar') },
}, (device, { locale, ...state }, run) => visit({ ...device, ...(locale && { locale }), wallets: [granted] }, async (page) => {
	await state.show(page);
	await run(page);
}));
