// The pages of an account: the profile and where roles come from, where one is signed in, what happened, and the suggestion
// of a second way to sign in.
//
// AUTHGATE_SCREENSHOTS names a directory for pictures, as in pages.test.mjs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticator, wallet } from './browser.mjs';
import { answer, at, button, dialog, focused, look, reach, rewrite, says, ways } from './people.mjs';
import { stage } from './stage.mjs';

const granted = wallet();
const gate = stage(() => ({ global: `grant admin ${granted.account.address}` }));
const { visit } = gate;

const open = (page, where) => page.goto(`${gate.origin}/auth/${where}`);
const section = (page, name) => page.getByRole('region', { name });
const here = 'Where you are signed in';
const happened = 'What happened';
const rows = (page, name) => section(page, name).getByRole('listitem');

// enter signs in with a wallet, and goes to a page of the account.
async function enter(page, where = 'account') {
	await open(page, 'sign-in?return_to=/auth/account');
	await button(page, 'Good Wallet').click();
	await at(page, '/auth/account');
	if (where === 'account') return ways(page);
	await open(page, where);
	return null;
}

test('a name and a username are changed, and the application knows at once', async () => {
	await visit({ wallets: [wallet()], expected: [/status of 40[09]/] }, async (page) => {
		await enter(page);
		await page.getByRole('link', { name: 'Profile and roles' }).click();
		await page.getByText('You have no roles.').waitFor();
		await button(page, 'Change the name').click();
		await page.getByLabel('New name').fill(' <b>Ada</b> ');
		await page.keyboard.press('Enter');
		await says(page, 'The name is changed.');
		await page.getByText('<b>Ada</b>', { exact: true }).waitFor();
		assert.equal(await focused(page), 'Change the name');

		const username = `ada-${Date.now()}`;
		await button(page, 'Change the username').click();
		const field = page.getByLabel('New username');
		for (const [wanted, words] of [['.ada', 'begin with a letter or digit'], ['', 'begin with a letter or digit'], ['taken', 'This name is taken.']]) {
			if (wanted === 'taken') await answer(page, 'profile', 409, 'username_taken', { times: 1 });
			await field.fill(wanted);
			await page.keyboard.press('Enter');
			await page.getByText(words).waitFor();
			assert.equal(await field.getAttribute('aria-invalid'), 'true');
			assert.equal(await field.evaluate((el) => el === document.activeElement), true);
		}
		await field.fill(` ${username.toUpperCase()} `);
		await page.keyboard.press('Enter');
		await says(page, `Your username is ${username} now.`);
		await open(page, '../reports');
		const seen = JSON.parse(await page.textContent('#seen'));
		assert.equal(seen.headers['remote-user'], username);
	});
});

test('a username that somebody has is refused in words', async () => {
	const name = `bob-${Date.now()}`;
	const take = async (page) => {
		await enter(page, 'account/profile');
		await button(page, 'Change the username').click();
		await page.keyboard.type(name);
		await page.keyboard.press('Enter');
	};
	await visit({ wallets: [wallet()] }, async (page) => {
		await take(page);
		await says(page, `Your username is ${name} now.`);
	});
	await visit({ wallets: [wallet()], expected: [/status of 409/] }, async (page) => {
		await take(page);
		await page.getByText('This name is taken.').waitFor();
		await page.keyboard.press('Escape');
		assert.equal(await focused(page), 'Change the username');
	});
});

test('a new username is confirmed in a dialog where the sign-in is old', async () => {
	await visit({ wallets: [wallet()], expected: [/status of 401/] }, async (page) => {
		await enter(page, 'account/profile');
		await answer(page, 'profile', 401, 'step_up_required', { times: 1 });
		await button(page, 'Change the username').click();
		await page.keyboard.type(`eve-${Date.now()}`);
		await page.unroute('**/auth/profile');
		await answer(page, 'profile', 401, 'step_up_required', { times: 1 });
		await page.keyboard.press('Enter');
		await dialog(page).getByText('To change this, sign in once more.').waitFor();
		await dialog(page).getByRole('button', { name: 'Good Wallet' }).click();
		await says(page, 'Your username is eve-');
	});
});

test('each role says where it comes from', async () => {
	await visit({ wallets: [granted] }, async (page) => {
		await rewrite(page, 'profile', (json) => json.roles.push(
			{ role: '<i>x</i>', from: ['administrator', 'configuration'] }, { role: 'member', from: ['chain'] },
		));
		await enter(page, 'account/profile');
		const roles = section(page, 'Roles').getByRole('listitem');
		await roles.first().waitFor();
		assert.match(await roles.nth(0).textContent(), /admin.*set in the configuration/);
		assert.match(await roles.nth(1).textContent(), /<i>x<\/i>.*by an administrator.* · .*set in the configuration/);
		assert.match(await roles.nth(2).textContent(), /member.*your wallet holds/);
	});
});

const agents = {
	firefox: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
	phone: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
	evil: '<img src=x onerror=alert(1)>',
	curl: 'curl/8.14.1',
};

test('sessions are told in words, and ended one by one and all at once', async () => {
	const mine = wallet();
	const elsewhere = (userAgent, run) => visit({ wallets: [mine], userAgent, expected: [/status of 40[14]/] }, run);
	await elsewhere(agents.firefox, (first) => elsewhere(agents.phone, (second) => elsewhere(agents.evil, (third) => elsewhere(undefined, async (page) => {
		for (const other of [first, second, third]) await enter(other);
		await enter(page, 'account/sessions');
		await rows(page, here).nth(3).waitFor();
		const told = await rows(page, here).allTextContents();
		assert.match(told[0], /Chrome on Linux.*this session.*Wallet.*last seen/);
		for (const words of ['Firefox on Linux', 'Safari on iPhone', 'Unknown program']) assert.ok(told.some((text) => text.includes(words)), `${words}: ${told}`);
		assert.equal(await rows(page, here).first().getByRole('button').count(), 0);

		const end = page.getByRole('button', { name: /^End Firefox on Linux, / });
		await end.click();
		await says(page, 'The session of Firefox on Linux is ended.');
		assert.equal(await rows(page, here).count(), 3);
		assert.match(await focused(page), /^End /);
		await first.goto(`${gate.origin}/auth/account`);
		assert.equal(new URL(first.url()).pathname, '/auth/sign-in');

		// Ended there meanwhile.
		const stale = page.getByRole('button', { name: /^End Safari on iPhone, / });
		await stale.waitFor();
		await second.evaluate(() => fetch('/auth/sign-out', { method: 'POST' }));
		await stale.click();
		await says(page, 'The session of Safari on iPhone had ended already.');
		await button(page, 'End all others').click();
		await says(page, 'All other sessions are ended.');
		assert.equal(await rows(page, here).count(), 1);
		assert.equal(await focused(page), here);
		assert.equal(await button(page, 'End all others').isVisible(), false);
		await third.reload();
		assert.equal(new URL(third.url()).pathname, '/auth/sign-in');
	}))));
});

test('whoever was signed out elsewhere is told so, and comes back to where they were', async () => {
	await visit({ wallets: [wallet()], expected: [/status of 401/] }, async (page) => {
		await enter(page, 'account/sessions');
		await rows(page, here).first().waitFor();
		await page.evaluate(() => fetch('/auth/sign-out', { method: 'POST' }));
		await page.evaluate(() => document.querySelector('[data-others]').click());
		await says(page, 'You are signed out.');
		await button(page, 'Good Wallet').click();
		await at(page, '/auth/account/sessions');
	});
});

test('what happened is told in words, twenty at a time', async () => {
	await visit({ wallets: [wallet()], userAgent: agents.evil }, async (page) => {
		await enter(page, 'account/sessions');
		await page.evaluate(async () => {
			for (let i = 0; i < 21; i++) {
				await fetch('/auth/profile', { method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: `n${i}` }) });
			}
		});
		await page.reload();
		await button(page, 'Show more').waitFor();
		assert.equal(await rows(page, happened).count(), 20);
		assert.match(await rows(page, happened).first().textContent(), /The profile was changed.*Unknown program/);
		await button(page, 'Show more').click();
		await rows(page, happened).nth(22).waitFor();
		assert.match(await rows(page, happened).last().textContent(), /The account was opened|Signed in: Wallet/);
		assert.equal(await rows(page, happened).nth(20).evaluate((el) => el === document.activeElement), true);
		assert.equal(await button(page, 'Show more').isVisible(), false);
	});
});

test('every kind of event has its words', async () => {
	const kinds = { session_ended: 'A session was ended · by an administrator', role_granted: 'The role <b>x</b> was given', password_changed: 'The password was changed', new_kind: 'Something else: new_kind' };
	await visit({ wallets: [wallet()] }, async (page) => {
		await rewrite(page, 'events?*', (json) => {
			json.events = Object.keys(kinds).map((kind) => ({ ...json.events[0], kind, code: '<b>x</b>', by: kind === 'session_ended' ? 'administrator' : 'self' }));
		});
		await enter(page, 'account/sessions');
		await rows(page, happened).first().waitFor();
		assert.deepEqual(await section(page, happened).locator('.name').allTextContents(), Object.values(kinds));
	});
});

test('a second way to sign in is suggested until somebody has had enough of it', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await authenticator(page);
		const words = page.getByText('You have one way to sign in.');
		await enter(page);
		await words.waitFor();
		await page.reload();
		await words.waitFor();
		await section(page, 'Ways to sign in').getByRole('button', { name: 'Not now' }).click();
		assert.equal(await words.isVisible(), false);
		assert.match(await focused(page), /^Rename/);
		await page.reload();
		await ways(page);
		assert.equal(await words.isVisible(), false);
	});
});

// A dialog tells that it was closed some time later; who is quick has opened it anew by then.
test('a removal that was called off and asked for anew at once is done', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await authenticator(page);
		await enter(page);
		await button(page, 'Add a passkey').click();
		await says(page, 'The passkey is added.');
		await button(page, 'Remove Passkey').click();
		await page.evaluate(() => {
			document.querySelector('[data-removal] [autofocus]').click();
			document.querySelector('[aria-label="Remove Passkey"]').click();
		});
		await dialog(page).getByRole('button', { name: 'Remove' }).click();
		await says(page, 'Passkey is removed.');
	});
});

test('profile and sessions work by keyboard alone', async () => {
	const mine = wallet();
	await visit({ wallets: [mine] }, async (other) => {
		await enter(other);
		await visit({ wallets: [mine] }, async (page) => {
			await enter(page);
			await reach(page, 'Profile and roles');
			await page.keyboard.press('Enter');
			await page.getByText('You have no roles.').waitFor();
			await reach(page, 'Change the name');
			await page.keyboard.press('Enter');
			await page.keyboard.type('Ada');
			await page.keyboard.press('Enter');
			await says(page, 'The name is changed.');
			await reach(page, 'Your account');
			await page.keyboard.press('Enter');
			await ways(page);
			await reach(page, 'Sessions and activity');
			await page.keyboard.press('Enter');
			await rows(page, here).nth(1).waitFor();
			await rows(page, happened).first().waitFor();
			await page.keyboard.press('Tab');
			assert.match(await focused(page), /^End Chrome on Linux, /);
			await page.keyboard.press('Enter');
			await says(page, 'is ended.');
			assert.equal(await focused(page), here);
			await reach(page, 'Sign out');
			await page.keyboard.press('Space');
			await says(page, 'You are signed out.');
		});
	});
});

const busy = (json) => {
	const [one] = json.sessions;
	json.sessions.push({ ...one, id: 'b', current: false, user_agent: agents.phone, client_ip: '2001:db8:85a3::8a2e:370:7334' }, { ...one, id: 'c', current: false, user_agent: agents.curl, client_ip: '192.0.2.7' });
};
look({
	profile: { show: async (page) => { await enter(page, 'account/profile'); await section(page, 'Roles').waitFor(); } },
	'profile-username': {
		show: async (page) => {
			await enter(page, 'account/profile');
			await button(page, 'Change the username').click();
			await page.keyboard.type('.ada');
			await page.keyboard.press('Enter');
			await page.getByText('begin with a letter or digit').waitFor();
		},
	},
	sessions: {
		show: async (page) => {
			await rewrite(page, 'sessions', busy);
			await enter(page, 'account/sessions');
			await rows(page, happened).first().waitFor();
		},
	},
	'sessions-from-right-to-left': {
		locale: 'ar',
		show: async (page) => {
			await rewrite(page, 'sessions', busy);
			await open(page, 'sign-in?return_to=/auth/account/sessions');
			await button(page, 'Good Wallet').click();
			await at(page, '/auth/account/sessions');
			await page.locator('[data-events] li').first().waitFor();
		},
	},
	suggestion: { show: async (page) => { await enter(page); await page.getByText('You have one way to sign in.').waitFor(); } },
}, (device, { locale, ...state }, run) => visit({ ...device, ...(locale && { locale }), wallets: [granted], expected: [/status of 400/] }, async (page) => {
	await state.show(page);
	await run(page);
}));
