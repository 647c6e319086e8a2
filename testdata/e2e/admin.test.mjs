// The pages of administration as administrators use them, with a real gate and some dozen users: every view, a fresh sign-in in
// the middle of a change, others who change things meanwhile, and users whose names are written to do harm.
//
// AUTHGATE_SCREENSHOTS names a directory for pictures, as in pages.test.mjs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { privateKeyToAccount } from 'viem/accounts';
import { wallet } from './browser.mjs';
import { answer, at, button, dialog, focused, look, says } from './people.mjs';
import { stage } from './stage.mjs';

const account = (n) => privateKeyToAccount(`0x${String(n).padStart(64, '0')}`);
const boss = wallet({ name: 'Boss Wallet', account: account(1) });
const gate = stage(() => ({ global: `grant admin ${boss.account.address}` }));
const { visit } = gate;
const evil = '<img src=x onerror=alert(1)>';
const people = [];

// enter signs in with a wallet, by the routes for programs and the cookie of a browser.
const enter = (page, who) => page.evaluate(async (uuid) => {
	const post = async (route, body) => (await fetch(`/auth/${route}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })).json();
	const { address } = window.wallets[uuid];
	const { challengeMessage } = await post('challenge/create', { address, chainId: 1 });
	const raw = `0x${[...new TextEncoder().encode(challengeMessage)].map((b) => b.toString(16).padStart(2, '0')).join('')}`;
	const signature = await window.signAsWallet(uuid, raw);
	await post('challenge/sign', { challenge: challengeMessage, signature, session: 'cookie' });
	return (await fetch('/auth/session')).json();
}, who.uuid);

const open = (page, path) => page.goto(`${gate.origin}/auth/${path}`);
async function administer(page, path = 'admin') {
	await open(page, 'sign-in');
	await enter(page, boss);
	await open(page, path);
}
const asBoss = { wallets: [boss], expected: [/status of 40/] };

test('some dozen users come', async () => {
	for (let n = 0; n < 36; n++) people.push(wallet({ name: `Wallet ${n}`, account: account(100 + n) }));
	await visit({ wallets: people, userAgent: evil }, async (page) => {
		await open(page, 'sign-in');
		for (const one of people) {
			const { user } = await enter(page, one);
			assert.ok(user, 'somebody could not sign in');
			one.id = user.id;
			await page.context().clearCookies(); // else the next wallet would be linked to this account
		}
	});
});

test('administration is for administrators', async () => {
	await visit({ wallets: [people[0]], expected: [/status of 403/] }, async (page) => {
		await open(page, 'admin');
		await at(page, '/auth/sign-in?return_to=%2Fauth%2Fadmin');
		await enter(page, people[0]);
		await open(page, 'admin');
		await page.getByRole('heading', { name: 'No access' }).waitFor();
	});
});

test('users are found and filtered, and one is opened by keyboard alone', async () => {
	await visit(asBoss, async (page) => {
		await administer(page);
		await says(page, 'Users shown: 37,');
		await page.getByRole('searchbox').fill(people[3].account.address.slice(0, 12));
		await page.keyboard.press('Enter');
		await says(page, 'Users shown: 1,');
		await page.getByRole('searchbox').focus();
		for (let i = 0; i < 12 && !(await page.evaluate(() => document.activeElement.closest('tbody'))); i++) await page.keyboard.press('Tab');
		await page.keyboard.press('Enter');
		await at(page, `/auth/admin/user?id=${people[3].id}`);
		await page.getByText('Account opened').waitFor();
		await page.goBack();
		await says(page, 'Users shown: 1,');
		await page.getByRole('searchbox').fill('');
		await page.getByLabel('Role', { exact: true }).fill('admin');
		await button(page, 'Show').click();
		await says(page, 'Users shown: 1,');
	});
});

test('a change asks for a fresh sign-in, and goes on', async () => {
	await visit(asBoss, async (page) => {
		await administer(page, `admin/user?id=${people[4].id}`);
		await page.route('**/auth/admin/users/*/roles', (r) => r.fulfill({
			status: 401, headers: { 'content-type': 'application/problem+json' }, body: JSON.stringify({ status: 401, code: 'step_up_required' }),
		}), { times: 1 });
		await page.getByLabel('Another role').fill('editor');
		await page.keyboard.press('Enter');
		await dialog(page).getByRole('button', { name: boss.name }).click();
		await says(page, 'The role is granted, but no rule');
		assert.ok(page.asked.includes('POST step-up/challenge/sign'));
		await button(page, 'Revoke editor').waitFor();
	});
});

test('all that is done to a user', async () => {
	const { id } = people[5];
	await visit(asBoss, async (page) => {
		await administer(page, `admin/user?id=${id}`);
		await button(page, 'Disable').click();
		await button(page, 'No, leave it').click();
		await button(page, 'Disable').click();
		await button(page, 'Yes, do it').click();
		await says(page, 'The user is disabled.');
		await button(page, 'Enable').click();
		await says(page, 'The user is enabled.');
		await page.getByRole('button', { name: /^Remove 0x/ }).click();
		await button(page, 'Yes, do it').click();
		await says(page, 'only way to sign in');
		await button(page, 'Make a recovery link').click();
		await page.getByText('/auth/recover#').waitFor();
		assert.equal(await focused(page), 'The link, shown this once');
		await page.getByRole('link', { name: 'Events of this user' }).click();
		await page.getByText('Recovery link made').last().waitFor();
		await page.goBack();
		await button(page, 'Delete').click();
		await dialog(page).getByLabel('To confirm').fill('somebody else');
		await dialog(page).getByRole('button', { name: 'Delete' }).click();
		await page.getByText('That is not the username.').waitFor();
		await dialog(page).getByLabel('To confirm').fill(await dialog(page).locator('code').textContent());
		await page.keyboard.press('Enter');
		await at(page, '/auth/admin');
		await open(page, `admin/user?id=${id}`);
		await says(page, 'was deleted');
	});
});

test('a role that was refused stays typed, and one that is granted goes', async () => {
	await visit(asBoss, async (page) => {
		await administer(page, `admin/user?id=${people[7].id}`);
		const role = page.getByLabel('Another role');
		await page.getByRole('button', { name: 'Grant', disabled: false }).waitFor();
		await role.fill('no role');
		await button(page, 'Grant').click();
		await says(page, 'A role is 1 to 64 letters');
		assert.equal(await role.inputValue(), 'no role');
		await role.fill('author');
		await button(page, 'Grant').click();
		await button(page, 'Revoke author').waitFor();
		await says(page, 'The role is granted');
		assert.equal(await role.inputValue(), '');
	});
});

test('whose session ended meanwhile comes back to the user they were looking at', async () => {
	await visit(asBoss, async (page) => {
		await administer(page, `admin/user?id=${people[7].id}`);
		await button(page, 'Disable').waitFor();
		await page.context().clearCookies();
		await button(page, 'Disable').click();
		await button(page, 'Yes, do it').click();
		await page.waitForURL('**/auth/sign-in?*');
		assert.equal(new URL(page.url()).searchParams.get('return_to'), `/auth/admin/user?id=${people[7].id}`);
	});
});

// A dialog tells that it was closed some time later; who is quick has opened it anew by then.
test('a question that was called off and asked anew at once is answered', async () => {
	await visit(asBoss, async (page) => {
		await administer(page, `admin/user?id=${people[10].id}`);
		await button(page, 'Disable').waitFor();
		await page.evaluate(() => {
			document.querySelector('[data-disable]').click();
			document.querySelector('[data-really] [autofocus]').click();
			document.querySelector('[data-disable]').click();
		});
		await button(page, 'Yes, do it').click();
		await says(page, 'The user is disabled.');
	});
});

test('the way to the administration is near the top of an administrator\'s account, and of no other', async () => {
	await visit({ ...asBoss, wallets: [boss, people[11]] }, async (page) => {
		await administer(page, 'account');
		await page.getByRole('navigation').getByRole('link', { name: 'Administration' }).click();
		await at(page, '/auth/admin');
		await page.context().clearCookies();
		await open(page, 'sign-in');
		await enter(page, people[11]);
		await open(page, 'account');
		await page.getByRole('navigation').getByRole('link', { name: 'Access tokens' }).waitFor();
		assert.equal(await page.getByRole('link', { name: 'Administration' }).count(), 0);
	});
});

test('the sessions of a user are told by browser and system', async () => {
	const agent = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36';
	await visit({ wallets: [people[12]], userAgent: agent }, async (page) => {
		await open(page, 'sign-in');
		await page.context().clearCookies();
		await enter(page, people[12]);
	});
	await visit(asBoss, async (page) => {
		await administer(page, `admin/user?id=${people[12].id}`);
		const name = page.locator('[data-sessions]').getByText('Chrome on Linux', { exact: true });
		await name.waitFor();
		assert.equal(await name.getAttribute('title'), agent);
		await button(page, 'End the session Chrome on Linux').click();
		await says(page, 'The session is ended.');
	});
});

// The program of a browser is what its user says it is.
test('sessions are ended, also such as another administrator ended meanwhile', async () => {
	const { id } = people[6];
	await visit(asBoss, async (page) => {
		await administer(page, `admin/user?id=${id}`);
		await page.getByTitle(evil).waitFor();
		await page.evaluate(async (user) => {
			const { user: { sessions } } = await (await fetch(`/auth/admin/users/${user}`)).json();
			await fetch(`/auth/admin/users/${user}/sessions/${sessions[0].id}`, { method: 'DELETE' });
		}, id);
		await page.getByRole('button', { name: /^End the session/ }).click();
		await says(page, 'somebody else was quicker');
		await page.locator('[data-sessions]', { hasText: 'None' }).waitFor();
	});
});

// Its name, roles and paths are what its owner says they are.
test('tokens of a user are seen, and deleted with a fresh sign-in, by keyboard alone', async () => {
	const owner = people[9];
	await visit({ ...asBoss, wallets: [owner, boss] }, async (page) => {
		await open(page, 'sign-in');
		await enter(page, owner);
		const made = await page.evaluate((name) => Promise.all([
			{ name: 'Calendar of the phone', paths: ['/dav/*', '/calendars/*'], expires_in: 7776000 }, { name: 'Backups', roles: [] }, { name },
		].map(async (token) => (await fetch('/auth/tokens', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(token) })).json())), evil);
		await page.evaluate(({ token }) => fetch('/auth/session', { headers: { Authorization: `Bearer ${token}` }, credentials: 'omit' }), made[1]);
		await page.context().clearCookies();
		await administer(page, `admin/user?id=${owner.id}`);
		const tokens = page.getByRole('region', { name: 'Access tokens' });
		await tokens.getByText(evil, { exact: true }).waitFor();
		const said = Object.fromEntries(await tokens.getByRole('listitem').evaluateAll((all) => all.map((li) => [li.querySelector('.name').textContent, [...li.querySelectorAll('small')].map((el) => el.textContent).join(' | ')])));
		assert.match(said['Calendar of the phone'], /^with all roles of the user \| \S*\/dav\/\*\S* \S*\/calendars\/\*\S* \| added .* \| good until .*$/);
		assert.match(said.Backups, /^without roles \| added .* \| good until it is deleted \| last used /);
		assert.equal(await page.getByText('agp_').count(), 0);
		await page.route('**/auth/admin/users/*/tokens/*', (r) => r.fulfill({
			status: 401, headers: { 'content-type': 'application/problem+json' }, body: JSON.stringify({ status: 401, code: 'step_up_required' }),
		}), { times: 1 });
		const remove = button(page, `Remove ${evil}`);
		for (let i = 0; i < 80 && !(await remove.evaluate((el) => el === document.activeElement)); i++) await page.keyboard.press('Tab');
		await page.keyboard.press('Enter');
		await dialog(page).getByText(`Whatever uses ${evil} will be locked out`).waitFor();
		await button(page, 'Yes, do it').press('Enter');
		await dialog(page).getByRole('button', { name: boss.name }).press('Enter');
		await says(page, 'It is removed.');
		assert.equal(await focused(page), 'Access tokens');
		assert.ok(page.asked.includes('POST step-up/challenge/sign'));
		assert.equal(await tokens.getByText(evil, { exact: true }).count(), 0);
		await page.evaluate(({ user, token }) => fetch(`/auth/admin/users/${user}/tokens/${token}`, { method: 'DELETE' }), { user: owner.id, token: made[0].id });
		await button(page, 'Remove Calendar of the phone').click();
		await button(page, 'Yes, do it').click();
		await says(page, 'somebody else was quicker');
	});
});

test('roles of the configuration are shown as such', async () => {
	await visit(asBoss, async (page) => {
		await administer(page);
		const id = await page.evaluate(async () => (await (await fetch('/auth/session')).json()).user.id);
		await open(page, `admin/user?id=${id}`);
		await page.getByText('from the configuration').waitFor();
		assert.equal(await button(page, 'Revoke admin').count(), 0);
		await button(page, 'Disable').click();
		await button(page, 'Yes, do it').click();
		await says(page, 'Administrators do not do this to their own accounts');
	});
});

test('an invite is made, shown once with its QR code, listed, and revoked', async () => {
	await visit(asBoss, async (page) => {
		await administer(page, 'admin/invitations');
		await page.getByRole('checkbox', { name: 'admin' }).check();
		await page.getByLabel('For how many people').fill('3');
		await page.getByLabel('Note').fill(evil);
		await page.keyboard.press('Enter');
		await page.getByText('/auth/invite#').waitFor();
		await page.getByAltText('QR code of the link').waitFor();
		assert.ok(await page.getByAltText('QR code of the link').evaluate(async (image) => { await image.decode(); return image.naturalWidth > 0; }));
		await page.getByRole('cell', { name: evil, exact: true }).waitFor();
		await page.getByText('0 of 3').waitFor();
		await page.getByRole('row').filter({ hasText: '0 of 3' }).getByRole('link', { name: boss.account.address }).waitFor();
		await page.getByRole('button', { name: /^Revoke the invite/ }).click();
		await button(page, 'Yes, do it').click();
		await says(page, 'The invite is revoked.');
		assert.equal(await page.getByText('/auth/invite#').count(), 0);
	});
});

test('an invite for nobody is refused at the field, before anything is asked', async () => {
	await visit(asBoss, async (page) => {
		await administer(page, 'admin/invitations');
		const uses = page.getByLabel('For how many people');
		await page.getByRole('button', { name: 'Make the invite', disabled: false }).waitFor();
		await answer(page, 'admin/invites', 401, 'step_up_required');
		const asked = page.asked.length;
		for (const wrong of ['0', '10001', '1.5', '']) {
			await uses.fill(wrong);
			await button(page, 'Make the invite').click();
			await page.locator('#uses-problem', { hasText: 'for 1 to 10000 people' }).waitFor();
			assert.equal(await uses.getAttribute('aria-invalid'), 'true');
			assert.ok(await uses.evaluate((el) => el === document.activeElement), wrong);
		}
		assert.equal(page.asked.length, asked);
		assert.equal(await dialog(page).count(), 0);
		await uses.fill('2');
		await page.locator('#uses-problem').waitFor({ state: 'hidden' });
	});
});

// A break in the middle of "Administrator" makes two words of none.
test('tables break no word that has room, and no page is wider than its window', async () => {
	await visit(asBoss, async (page) => {
		await administer(page);
		assert.equal(await page.evaluate(async () => (await fetch('/auth/admin/invites', {
			method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ roles: ['admin', 'accounting'], uses: 3, note: 'Administrators of the department' }),
		})).status), 200);
	});
	for (const width of [1280, 800, 390]) {
		await visit({ ...asBoss, viewport: { width, height: 800 } }, async (page) => {
			for (const [path, ready] of [['admin', 'Users shown'], ['admin/log', 'Events shown'], ['admin/invitations', '']]) {
				await administer(page, path);
				await (ready ? says(page, ready) : page.locator('tbody td').first().waitFor());
				await page.waitForLoadState('networkidle');
				assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path} at ${width} px is too wide`);
				assert.deepEqual(await page.evaluate(() => {
					const broken = [];
					const texts = document.createTreeWalker(document.querySelector('table'), NodeFilter.SHOW_TEXT);
					while (texts.nextNode()) {
						for (const { 0: word, index } of texts.currentNode.data.matchAll(/[\p{L}]{2,13}(?![^\s,.])/gu)) {
							const before = texts.currentNode.data[index - 1] ?? ' ';
							if (!/\s/.test(before)) continue; // the end of an address, say
							const range = document.createRange();
							range.setStart(texts.currentNode, index);
							range.setEnd(texts.currentNode, index + word.length);
							if (range.getClientRects().length > 1) broken.push(word);
						}
					}
					return broken;
				}), [], `${path} at ${width} px`);
			}
		});
	}
});

test('rules are shown, and what becomes of a request', async () => {
	await visit(asBoss, async (page) => {
		await administer(page, 'admin/access');
		await page.getByText('allow role admin /admin/*').waitFor();
		await page.getByLabel('Address', { exact: true }).fill('/admin/x');
		await page.keyboard.press('Enter');
		await page.getByRole('heading', { name: 'It has to sign in first.' }).waitFor();
		await page.getByLabel(/^User/).fill(people[7].account.address);
		await button(page, 'Explain').click();
		await page.getByRole('heading', { name: 'It is refused.' }).waitFor();
		await page.getByLabel(/^User/).fill('nobody-at-all');
		await button(page, 'Explain').click();
		await says(page, 'No account has this name.');
	});
});

test('the audit log is filtered, and paged', async () => {
	await visit(asBoss, async (page) => {
		await administer(page, 'admin/log');
		await says(page, 'Events shown: 50,');
		await button(page, 'More events').click();
		await page.locator('tbody tr').nth(50).waitFor();
		await page.getByLabel('Event', { exact: true }).selectOption('user_created');
		await page.getByLabel(/^User/).fill(people[8].account.address);
		await button(page, 'Show').click();
		await says(page, 'Events shown: 1,');
		await page.getByText(evil).first().waitFor();
	});
});

const shown = {
	'admin-users': ['admin', (page) => says(page, 'Users shown')],
	'admin-user': ['', (page) => page.getByText('Account opened').waitFor()],
	'admin-invitations': ['admin/invitations', async (page) => { await page.getByLabel('Note').fill('For Ada'); await button(page, 'Make the invite').click(); await page.getByText('/auth/invite#').waitFor(); }],
	'admin-access': ['admin/access', async (page) => { await button(page, 'Explain').click(); await page.locator('#verdict').waitFor(); }],
	'admin-log': ['admin/log', (page) => says(page, 'Events shown')],
};
look(Object.fromEntries(Object.entries(shown).map(([name, [path, state]]) => [name, async (page) => {
	await administer(page, path || `admin/user?id=${people[9].id}`);
	await state(page);
}])), (device, state, run) => visit({ ...device, ...asBoss }, async (page) => {
	await state(page);
	await run(page);
}));
