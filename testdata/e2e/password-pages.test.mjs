// E-mail and password as people use them on the pages: opening an account, signing in, a forgotten password, another
// address. The mails go through a real mail server.
//
// AUTHGATE_SCREENSHOTS names a directory for pictures, as in pages.test.mjs.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { authenticator, wallet } from './browser.mjs';
import { openMailbox } from './mailbox.mjs';
import { answer, assertSoon, at, button, dialog, focused, look, reach, rewrite, says, signOut, status, ways } from './people.mjs';
import { start } from './server.mjs';
import { stage } from './stage.mjs';

let mailbox;
const gate = stage(async () => {
	mailbox = await openMailbox();
	return { global: mailbox.options, env: mailbox.env };
});
after(() => mailbox?.close());

let count = 0;
const newAddress = () => `ada-${count++}@example.com`;
const good = 'an ocean of green tea';
const other = 'seven lamps for a snail';

// Each browser is another client: nobody has as many mails sent as these tests.
const visit = (options, run, origin) => gate.visit({
	expected: [/status of 4/], extraHTTPHeaders: { 'X-Forwarded-For': `2001:db8:${(count++).toString(16)}::1` }, ...options,
}, run, origin);

const open = (page, path, origin = gate.origin) => page.goto(`${origin}/auth/${path}`);
const email = (page) => page.getByLabel('E-mail address');
const password = (page) => page.getByLabel('Password', { exact: true });
const newPassword = (page) => page.getByLabel('New password');
const heading = (page, name) => page.getByRole('heading', { name, level: 1 }).waitFor();
const eye = 'Show password';

async function fill(page, address, secret) {
	await email(page).fill(address);
	await password(page).fill(secret);
}

// register asks for an account and answers the mail.
async function register(page, address = newAddress(), secret = good, returnTo = '/auth/account', origin = gate.origin) {
	await open(page, `register?return_to=${encodeURIComponent(returnTo)}`, origin);
	await fill(page, address, secret);
	await button(page, 'Create the account').click();
	await heading(page, 'Check your mail');
	return mailbox.next(address);
}

// join opens an account and answers its address.
async function join(page, address = newAddress(), origin = gate.origin) {
	const { link } = await register(page, address, good, '/auth/account', origin);
	await page.goto(link);
	await button(page, 'Confirm and sign in').click();
	await at(page, '/auth/account');
	await ways(page);
	return address;
}

async function signIn(page, address, secret = good, returnTo = '/auth/account') {
	await open(page, `sign-in?return_to=${encodeURIComponent(returnTo)}`);
	await fill(page, address, secret);
	await button(page, 'Sign in').click();
}

async function signedIn(page, address, secret, returnTo = '/auth/account') {
	await signIn(page, address, secret, returnTo);
	await at(page, returnTo);
}

// wrong sees what is told next to a field, in a way that everybody can perceive, and the focus in it.
async function wrong(page, field, words) {
	const told = page.locator('.problem', { hasText: words });
	await told.waitFor();
	assert.equal(await field.getAttribute('aria-invalid'), 'true');
	assert.ok((await field.getAttribute('aria-describedby')).split(' ').includes(await told.getAttribute('id')));
	assert.ok(await field.evaluate((el) => el === document.activeElement), 'the focus is elsewhere');
	assert.equal(await page.locator('main > .progress [role=status]').textContent(), '');
	assert.equal(await page.locator('[aria-busy=true]').count(), 0);
}

const wrongWords = 'E-mail address or password is not right.';

test('a person opens an account: the mail, its link, the button', async () => {
	await visit({}, async (page) => {
		const urls = [];
		page.context().on('request', (request) => urls.push(request.url()));
		const address = newAddress();
		await page.goto(`${gate.origin}/reports/2026?q=spring`);
		await page.getByRole('link', { name: 'Create an account' }).click();
		await page.waitForURL('**/auth/register?*');
		await fill(page, address, good);
		await page.keyboard.press('Enter');
		await heading(page, 'Check your mail');
		assert.match(await page.title(), /^Check your mail/);
		assert.equal(await focused(page), 'Check your mail');
		assert.match(await page.textContent('[data-sent]'), new RegExp(address));
		const { link, subject } = await mailbox.next(address);
		assert.match(subject, /Confirm/);

		const tab = await page.context().newPage();
		await tab.goto(link);
		await heading(tab, 'Confirm your address');
		const key = link.split('#')[1];
		await tab.waitForFunction(() => !location.hash);
		assert.equal(await tab.evaluate(() => history.length), 2, 'the link is in the history');
		await tab.reload();
		assert.equal(await password(tab).isVisible(), false);
		assert.deepEqual(page.asked, ['POST password/register'], 'opening the link did something');
		const sent = tab.waitForRequest('**/password/activate');
		await button(tab, 'Confirm and sign in').click();
		const { receipt, ...body } = JSON.parse((await sent).postData());
		assert.deepEqual(body, { key, session: 'cookie', return_to: '/reports/2026?q=spring' });
		assert.match(receipt, /^[0-9a-f]{32}$/);
		await at(tab, '/reports/2026?q=spring');
		await at(page, '/reports/2026?q=spring'); // which waited
		assert.equal(gate.seen.at(-1).headers['remote-email'], address);
		assert.ok(urls.length > 20 && urls.every((url) => !url.includes(key) && !url.includes(receipt)), 'a secret was in a URL');
		assert.deepEqual(await tab.evaluate(() => [localStorage.length, sessionStorage.length]), [0, 0]);
	});
});

// Whoever registers somebody else's address waits for its owner to press the button: with the stranger's password the
// account would be the stranger's.
test('in another browser the password is asked for, and counts; the one of a stranger who registered does not', async () => {
	const address = newAddress();
	let link;
	await visit({}, async (stranger) => { ({ link } = await register(stranger, address, 'a stranger waits here')); });
	await visit({}, async (owner) => {
		await owner.goto(link);
		await button(owner, 'Confirm and sign in').click();
		await owner.getByText('You registered in another browser').waitFor();
		assert.ok(await password(owner).evaluate((el) => el === document.activeElement));
		assert.equal(await password(owner).getAttribute('autocomplete'), 'current-password');
		await owner.keyboard.press('Enter');
		await wrong(owner, password(owner), 'Enter a password.');
		await password(owner).fill('short');
		await owner.keyboard.press('Enter');
		await wrong(owner, password(owner), 'use at least 12 characters');
		await password(owner).fill(good);
		await owner.keyboard.press('Enter');
		await owner.waitForURL(`${gate.origin}/`);
		await open(owner, 'account');
		await signOut(owner);
		await signIn(owner, address, 'a stranger waits here');
		await wrong(owner, password(owner), wrongWords);
		await password(owner).fill(good);
		await owner.keyboard.press('Enter');
		await at(owner, '/auth/account');
	});
});

test('a link that was used, replaced, cut off or is too old says so, and what to do', async () => {
	await visit({}, async (page) => {
		const address = newAddress();
		const first = await register(page, address);
		const second = await register(page, address);
		await page.goto(first.link);
		await button(page, 'Confirm and sign in').click();
		await says(page, 'a newer mail has taken its place');
		await page.getByRole('link', { name: 'Create an account' }).waitFor();
		// Pasted over the page that is open.
		await page.evaluate((link) => { location.href = link; }, second.link);
		await button(page, 'Confirm and sign in').click();
		await at(page, '/auth/account');
		await page.goto(second.link);
		await button(page, 'Confirm and sign in').click();
		await says(page, 'it was used');
		await page.evaluate(() => sessionStorage.clear());
		for (const path of ['activate', 'reset', 'email']) {
			await open(page, path);
			await says(page, 'This link is not complete.');
			assert.equal(await page.locator('form').isVisible(), false);
		}
		for (const [path, route, code, does] of [
			['activate', 'password/activate', 'registration_expired', 'Confirm and sign in'],
			['reset', 'password/reset', 'key_expired', 'Set the password and sign in'],
			['email', 'email/confirm', 'key_expired', 'Confirm the address'],
		]) {
			await answer(page, route, 412, code);
			await open(page, `${path}#0123`);
			if (path === 'reset') {
				await newPassword(page).fill(good);
			}
			await button(page, does).click();
			await says(page, 'too old');
		}
	});
});

test('what is wrong at signing in is told next to the field, alike for everybody', async () => {
	await visit({}, async (page) => {
		const address = await join(page);
		await signOut(page);
		await button(page, 'Sign in').click();
		await wrong(page, email(page), 'Enter an e-mail address.');
		await email(page).fill('ada');
		assert.equal(await email(page).getAttribute('aria-invalid'), null);
		await page.keyboard.press('Enter');
		await wrong(page, email(page), 'not an e-mail address');
		await email(page).fill(address);
		await page.keyboard.press('Enter');
		await wrong(page, password(page), 'Enter a password.');
		for (const someone of [address, newAddress(), `nobody.${newAddress()}`]) {
			await fill(page, someone, 'not the right password');
			await page.keyboard.press('Enter');
			await wrong(page, password(page), wrongWords);
			assert.equal(await page.evaluate(() => getSelection().toString().length || document.activeElement.selectionEnd), 22, 'it is not selected, to be overwritten');
		}
		await fill(page, ` ${address.toUpperCase()} `, good);
		await page.keyboard.press('Enter');
		await page.waitForURL(`${gate.origin}/`);
	});
});

// Somebody who guesses must not learn that it is of no use any more, nor lock the owner out, who is told.
test('a suspended account looks like any other, and its owner is let in by the browser that signed in before', async () => {
	await visit({}, async (owner) => {
		const address = await join(owner);
		await signOut(owner);
		await visit({}, async (stranger) => {
			await open(stranger, 'sign-in');
			const texts = new Set();
			for (const guess of ['one guess of many', 'two guesses of many', 'three guesses made', 'four guesses made', 'five guesses made', good]) {
				await fill(stranger, address, guess);
				const response = stranger.waitForResponse('**/password/sign-in');
				await stranger.keyboard.press('Enter');
				assert.equal((await response).status(), 401);
				await wrong(stranger, password(stranger), wrongWords);
				texts.add(await stranger.textContent('main'));
			}
			assert.equal(texts.size, 1);
			assert.match((await mailbox.next(address)).text, /suspended|paused|locked/i);
		});
		await signedIn(owner, address);
	});
});

test('a forgotten password is set anew, and everybody else is signed out', async () => {
	await visit({}, async (page) => {
		const address = await join(page);
		await visit({}, async (elsewhere) => {
			await open(elsewhere, 'sign-in');
			await email(elsewhere).fill(address);
			await elsewhere.getByRole('link', { name: 'Forgot your password?' }).click();
			await elsewhere.waitForURL('**/auth/forgot');
			assert.equal(await email(elsewhere).inputValue(), address);
			await button(elsewhere, 'Send the mail').click();
			await heading(elsewhere, 'Check your mail');
			const { link } = await mailbox.next(address);
			await elsewhere.goto(link);
			await heading(elsewhere, 'Choose a new password');
			await elsewhere.waitForFunction(() => !location.hash);
			assert.equal(await elsewhere.locator('[autocomplete=username]').inputValue(), address);
			for (const [secret, words] of [['short', 'at least 12'], ['passwordpassword', 'would guess'], [`${'x'.repeat(5)}`, 'too short'], ['localhost localhost', 'would guess|name of the site']]) {
				await newPassword(elsewhere).fill(secret);
				await elsewhere.keyboard.press('Enter');
				await wrong(elsewhere, newPassword(elsewhere), new RegExp(words));
			}
			await newPassword(elsewhere).fill(other);
			await elsewhere.keyboard.press('Enter');
			await elsewhere.waitForURL(`${gate.origin}/`);
			assert.match((await mailbox.next(address)).subject, /password/i);
			await page.reload();
			assert.equal(new URL(page.url()).pathname, '/auth/sign-in');
			await signIn(page, address, good);
			await wrong(page, password(page), wrongWords);
			await signedIn(page, address, other);
			await elsewhere.goto(link);
			await newPassword(elsewhere).fill(good);
			await elsewhere.keyboard.press('Enter');
			await says(elsewhere, 'it was used');
		});
	});
});

test('who forgot the password still comes to where they were going', async () => {
	const place = '/posts/7?x=1&y=2';
	await visit({}, async (page) => {
		const address = await join(page);
		await signOut(page);
		await open(page, `sign-in?return_to=${encodeURIComponent(place)}`);
		await page.getByRole('link', { name: 'Forgot your password?' }).click();
		await page.waitForURL('**/auth/forgot?*');
		await page.getByRole('link', { name: 'Back to sign-in' }).click();
		await page.waitForURL('**/auth/sign-in?*');
		assert.match(await page.textContent('main'), /You will be taken to\s+\/posts\/7\?x=1&y=2/);
		await page.getByRole('link', { name: 'Forgot your password?' }).click();
		await page.waitForURL('**/auth/forgot?*');
		await email(page).fill(address);
		await button(page, 'Send the mail').click();
		await heading(page, 'Check your mail');
		const { link } = await mailbox.next(address);
		const [other, right] = [await page.context().newPage(), await page.context().newPage()];
		// A link that is of no use leads on there, too.
		await other.goto(`${link.split('#')[0]}#gone`);
		await heading(other, 'Choose a new password');
		await newPassword(other).fill(good);
		await button(other, 'Set the password and sign in').click();
		await says(other, 'it was used');
		for (const name of ['Get another link', 'Sign in']) {
			const next = new URL(await other.getByRole('link', { name, exact: true }).evaluate((a) => a.href));
			assert.equal(next.searchParams.get('return_to'), place, name);
		}
		await right.goto(link);
		await newPassword(right).fill(good);
		await button(right, 'Set the password and sign in').click();
		await at(right, place);
		await at(page, place); // where the page was left open
	});
});

test('for an address without an account the page says the same, and nobody gets a mail', async () => {
	await visit({}, async (page) => {
		const known = await join(page);
		const texts = [];
		const unknown = newAddress();
		for (const address of [known, unknown]) {
			await open(page, 'forgot');
			await email(page).fill(address);
			await page.keyboard.press('Enter');
			await heading(page, 'Check your mail');
			texts.push((await page.textContent('main')).replace(address, ''));
		}
		assert.equal(texts[0], texts[1]);
		await mailbox.next(known);
		const again = await register(page, known); // which has an account; mails go in the order in which they were caused
		assert.match(again.text, /account/);
		assert.deepEqual(mailbox.mails.filter(({ to }) => to === unknown), []);
		await button(page, 'Use another address').click();
		assert.match(await page.title(), /^Create an account/);
		assert.ok(await email(page).evaluate((el) => el === document.activeElement));
	});
});

test('a password is changed, which signs out everywhere else', async () => {
	await visit({}, async (page) => {
		const address = await join(page);
		assert.deepEqual(await ways(page), ['E-mail and password']);
		await visit({}, async (elsewhere) => {
			await signedIn(elsewhere, address);
			await button(page, 'Change the password').click();
			assert.ok(await newPassword(page).evaluate((el) => el === document.activeElement));
			assert.equal(await page.locator('[data-new-password] [autocomplete=username]').inputValue(), address);
			await page.keyboard.press('Escape');
			assert.equal(await focused(page), 'Change the password');
			await page.keyboard.press('Enter');
			await newPassword(page).fill(`my ${address}`);
			await page.keyboard.press('Enter');
			await wrong(page, newPassword(page), 'would guess');
			await newPassword(page).fill(other);
			await button(page, 'Save the password').click();
			await says(page, 'The password is changed.');
			assert.equal(await focused(page), 'Change the password');
			assert.equal(await newPassword(page).isVisible(), false);
			await mailbox.next(address);
			await elsewhere.reload();
			assert.equal(new URL(elsewhere.url()).pathname, '/auth/sign-in');
			await signIn(elsewhere, address, good);
			await wrong(elsewhere, password(elsewhere), wrongWords);
			await signedIn(elsewhere, address, other);
		});
		await page.reload();
		assert.equal(new URL(page.url()).pathname, '/auth/account');
	});
});

test('who came with a passkey adds an address, then a password, and signs in with it', async () => {
	await visit({}, async (page) => {
		await authenticator(page);
		await open(page, 'register?return_to=/auth/account');
		await button(page, 'Create an account with a passkey').click();
		await at(page, '/auth/account');
		await ways(page);
		assert.equal(await button(page, 'Set a password').count(), 0);
		const address = newAddress();
		await open(page, 'account/profile');
		await button(page, 'Add an e-mail address').click();
		await page.getByLabel('New e-mail address').fill(address);
		await page.keyboard.press('Enter');
		await says(page, `A mail is on its way to ${address}.`);
		const { link } = await mailbox.next(address);
		await page.goto(link);
		await button(page, 'Confirm the address').click();
		await says(page, 'The address is confirmed.');
		assert.match(page.url(), /account$/);
		await button(page, 'Set a password').click();
		await newPassword(page).fill(good);
		await page.keyboard.press('Enter');
		await says(page, 'The password is set.');
		assert.deepEqual(await ways(page), ['Passkey', 'E-mail and password']);
		assert.equal(await button(page, 'Set a password').isVisible(), false);
		await signOut(page);
		await signedIn(page, address, good);
		await button(page, 'Remove E-mail and password').click();
		await dialog(page).getByRole('button', { name: 'Remove' }).click();
		await says(page, 'is removed.');
		await button(page, 'Set a password').waitFor();
	});
});

test('another address counts once it is confirmed, by who asked for it; the old one is told', async () => {
	const [old, wanted] = [newAddress(), newAddress()];
	let link;
	await visit({}, async (page) => {
		await join(page, old);
		await open(page, 'account/profile');
		await button(page, 'Change the e-mail address').click();
		await page.getByLabel('New e-mail address').fill('ada');
		await page.keyboard.press('Enter');
		await wrong(page, page.getByLabel('New e-mail address'), 'not an e-mail address');
		await page.getByLabel('New e-mail address').fill(wanted);
		await button(page, 'Send the mail').click();
		await says(page, `A mail is on its way to ${wanted}.`);
		({ link } = await mailbox.next(wanted));
		await page.reload();
		assert.match(await page.textContent('main'), new RegExp(old));
	});
	await visit({}, async (page) => {
		await join(page); // somebody else, who got hold of the link
		await page.goto(link);
		await button(page, 'Confirm the address').click();
		await says(page, 'for another account than the one you are signed in with');
	});
	await visit({}, async (page) => {
		await page.goto(link); // signed out
		await page.getByText('Sign in to the account for which you asked').waitFor();
		await page.waitForFunction(() => !location.hash);
		await page.getByRole('link', { name: 'Sign in' }).click();
		await fill(page, old, good);
		await page.keyboard.press('Enter');
		await at(page, '/auth/email');
		await button(page, 'Confirm the address').click();
		await says(page, 'The address is confirmed.');
		assert.match(await page.textContent('main'), new RegExp(wanted));
		const { text } = await mailbox.next(old);
		assert.match(text, new RegExp(wanted));
		await signOut(page);
		await signIn(page, old);
		await wrong(page, password(page), wrongWords);
		await signedIn(page, wanted);
	});
});

test('a passkey is suggested in the field for the address', async () => {
	await visit({ suggestions: true }, async (page) => {
		const device = await authenticator(page, 'internal', { presence: false });
		const address = await join(page);
		await device.touch(true);
		await button(page, 'Add a passkey').click();
		await says(page, 'The passkey is added.');
		await device.touch(false);
		await signOut(page);
		await page.goto('about:blank'); // which ends what this page waits for
		await device.touch(true); // chosen at once, without a button
		await open(page, 'sign-in?return_to=%2Fauth%2Faccount');
		await at(page, '/auth/account');
		assert.match(await page.textContent('main'), new RegExp(`${address}[^]*Signed in with\\s*Passkey`));
		await device.touch(false);
		await signOut(page);
		await fill(page, address, good); // while a suggestion waits
		await button(page, 'Sign in').click();
		await page.waitForURL(`${gate.origin}/`);
	});
});

test('a password confirms who is signed in, on the page and in the dialog of the account', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		const address = await join(page);
		await open(page, 'sign-in?return_to=%2Freports');
		await heading(page, 'Confirm it is you');
		assert.equal(await email(page).count(), 0);
		assert.equal(await page.getByText('With an Ethereum wallet').isVisible(), false);
		assert.equal(await page.locator('[autocomplete=username]').inputValue(), address);
		await password(page).fill('not the right password');
		await page.keyboard.press('Enter');
		await wrong(page, password(page), 'This password is not right.');
		await password(page).fill(good);
		await page.keyboard.press('Enter');
		await at(page, '/reports');
		assert.ok(page.asked.includes('POST step-up/password/sign-in'));

		await open(page, 'account');
		await ways(page);
		await answer(page, 'password/change', 401, 'step_up_required', { times: 2 });
		await button(page, 'Change the password').click();
		await newPassword(page).fill(other);
		await page.keyboard.press('Enter');
		await dialog(page).getByRole('heading', { name: 'Confirm it is you' }).waitFor();
		await page.keyboard.press('Escape');
		await says(page, 'Nothing was changed.');
		assert.equal(await newPassword(page).inputValue(), other, 'what was entered is lost');
		await page.keyboard.press('Enter');
		await password(dialog(page)).fill('not the right password');
		await page.keyboard.press('Enter');
		await dialog(page).locator('.problem', { hasText: 'This password is not right.' }).waitFor();
		await password(dialog(page)).fill(good);
		await page.keyboard.press('Enter');
		await says(page, 'The password is changed.');
		assert.equal(page.asked.filter((route) => route === 'POST password/change').length, 3);
	});
});

test('everything about passwords works by keyboard alone', async () => {
	await visit({}, async (page) => {
		const address = newAddress();
		await open(page, 'sign-in');
		await reach(page, 'Create an account');
		await page.keyboard.press('Enter');
		await page.waitForURL('**/auth/register');
		await heading(page, 'Create an account');
		await reach(page, 'email');
		await page.keyboard.type(address);
		await reach(page, 'password');
		await page.keyboard.type(good);
		await reach(page, eye);
		await page.keyboard.press('Space');
		assert.equal(await password(page).getAttribute('type'), 'text');
		await reach(page, 'Create the account');
		await page.keyboard.press('Enter');
		await heading(page, 'Check your mail');
		await page.goto((await mailbox.next(address)).link);
		await reach(page, 'Confirm and sign in');
		await page.keyboard.press('Enter');
		await page.waitForURL(`${gate.origin}/`);
		await open(page, 'account/profile');
		await button(page, 'Change the e-mail address').waitFor();
		await reach(page, 'Change the e-mail address');
		await page.keyboard.press('Enter');
		await page.keyboard.press('Escape');
		await open(page, 'account');
		await ways(page);
		await reach(page, 'Change the password');
		await page.keyboard.press('Enter');
		await page.keyboard.type(other);
		await reach(page, 'Save the password');
		await page.keyboard.press('Space');
		await says(page, 'The password is changed.');
		await reach(page, 'Sign out');
		await page.keyboard.press('Enter');
		await says(page, 'You are signed out.');
		await reach(page, 'email');
		await page.keyboard.type(address);
		await page.keyboard.press('Tab');
		await page.keyboard.type(other);
		await page.keyboard.press('Enter');
		await page.waitForURL(`${gate.origin}/`);
	});
});

// What those who keep passwords go by: forms, and what their fields say of themselves.
const forms = {
	'sign-in': { email: 'username webauthn', password: 'current-password' },
	'register': { name: 'name', email: 'email', password: 'new-password' },
	'forgot': { email: 'username' },
	'activate#0123': { username: 'username', password: 'current-password' },
	'reset#0123': { username: 'username', password: 'new-password' },
};
test('password managers are told what each field is for', async () => {
	await visit({}, async (page) => {
		const fields = (form) => form.evaluate(({ elements, method }) => [method, Object.fromEntries([...elements]
			.filter(({ tagName }) => tagName === 'INPUT').map(({ name, autocomplete }) => [name, autocomplete]))]);
		for (const [path, wanted] of Object.entries(forms)) {
			await open(page, path);
			// Nothing is sent before the scripts are there; and then by POST, which writes no password into an address.
			assert.deepEqual(await fields(page.locator('form').first()), ['post', wanted], path);
			for (const input of await page.locator('form input[type=password]').all()) {
				assert.equal(await input.getAttribute('maxlength'), null);
				assert.equal(await input.evaluate((el) => el.onpaste), null);
			}
		}
		await join(page);
		assert.deepEqual(await fields(page.locator('[data-new-password]')), ['post', { username: 'username', password: 'new-password' }]);
		await open(page, 'account/profile');
		assert.deepEqual(await fields(page.locator('[data-form=email]')), ['post', { email: 'email' }]);
		await open(page, 'sign-in');
		assert.deepEqual(await fields(page.locator('[data-method=password] form')), ['post', { username: 'username', password: 'current-password' }]);
	});
});

test('a password can be pasted and shown, and Caps Lock is told', async () => {
	await visit({ permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
		await open(page, 'register');
		await email(page).fill(newAddress());
		await page.evaluate((text) => navigator.clipboard.writeText(text), good);
		await password(page).focus();
		await page.keyboard.press('ControlOrMeta+v');
		assert.equal(await password(page).inputValue(), good);

		const show = page.getByRole('button', { name: eye });
		assert.equal(await show.getAttribute('aria-pressed'), 'false');
		await show.click();
		assert.deepEqual([await show.getAttribute('aria-pressed'), await password(page).getAttribute('type')], ['true', 'text']);
		await show.click();
		assert.deepEqual([await show.getAttribute('aria-pressed'), await password(page).getAttribute('type')], ['false', 'password']);

		const hint = page.getByText('Caps Lock is on.');
		const press = (on) => password(page).evaluate((el, modifierCapsLock) => el.dispatchEvent(
			new KeyboardEvent('keydown', { key: 'A', bubbles: true, modifierCapsLock })), on);
		await press(true);
		await hint.waitFor();
		assert.ok((await password(page).getAttribute('aria-describedby')).includes(await hint.getAttribute('id')));
		await press(false);
		assert.equal(await hint.count(), 0);
		await password(page).focus();
		await press(true);
		await email(page).focus();
		assert.equal(await hint.count(), 0);
		await password(page).evaluate((el) => el.dispatchEvent(new Event('keydown', { bubbles: true }))); // what fills in forms sends

		await show.click();
		const sent = page.waitForRequest('**/password/register');
		await button(page, 'Create the account').click();
		assert.equal(JSON.parse((await sent).postData()).password, good);
		assert.equal(await password(page).getAttribute('type'), 'password', 'the browser would remember it like other text');
	});
});

test('the rule for a password is told beforehand, and is about its length alone', async () => {
	await visit({}, async (page) => {
		for (const path of ['register', 'reset#0123']) {
			await open(page, path);
			const field = page.locator('[autocomplete=new-password]');
			const rule = page.getByText('At least 12 characters.');
			await rule.waitFor();
			assert.ok((await field.getAttribute('aria-describedby')).split(' ').includes(await rule.getAttribute('id')));
		}
		await open(page, 'register');
		await email(page).fill(newAddress());
		for (const [secret, words] of [['', 'Enter a password.'], ['🐌🐌🐌🐌🐌🐌🐌🐌🐌🐌🐌', 'too short'], ['é'.normalize('NFD').repeat(11), 'too short']]) {
			await password(page).fill(secret);
			await page.keyboard.press('Enter');
			await wrong(page, password(page), words);
		}
		assert.deepEqual(page.asked, []);
	});
});

const refusals = [
	['register', 'password/register', 429, 'too_many_requests', { headers: { 'retry-after': '90' } }, 'Too many tries in a short time. Try again in 90 seconds'],
	['register', 'password/register', 503, 'unavailable', { headers: { 'retry-after': '300' } }, 'try again in 5 minutes'],
	['register', 'password/register', 418, 'teapot', {}, 'That did not work'],
	['forgot', 'password/forgot', 429, 'too_many_requests', {}, 'Too many tries'],
	['forgot', 'password/forgot', 403, 'cross_origin', {}, 'opened under another address'],
	['sign-in', 'password/sign-in', 503, 'unavailable', { headers: { 'retry-after': '2' } }, 'try again in 2 seconds'],
	['sign-in', 'password/sign-in', 403, 'account_disabled', {}, 'is disabled'],
	['sign-in', 'password/sign-in', 404, 'not_found', {}, 'switched off'],
	['reset#0123', 'password/reset', 503, 'unavailable', {}, 'try again in a moment'],
	['activate#0123', 'password/activate', 503, 'unavailable', {}, 'try again in a moment'],
];
test('what the gateway refuses is told in words', async (t) => {
	await visit({ expected: [/status of [45]/] }, async (page) => {
		for (const [path, route, code, name, more, words] of refusals) {
			await t.test(`${route} ${name}: ${words}`, async () => {
				await answer(page, route, code, name, more);
				await open(page, path);
				for (const input of await page.locator('form [required]:enabled').all()) {
					await input.fill((await input.getAttribute('type')) === 'email' ? newAddress() : good);
				}
				const submit = page.locator('form [type=submit]').first();
				await submit.click();
				await says(page, words);
				assert.equal(await status(page).getAttribute('data-kind'), 'bad');
				assert.ok(await submit.evaluate((el) => el === document.activeElement));
				assert.equal(await button(page, 'Cancel').isVisible(), false);
				await page.unroute(`**/auth/${route}`);
			});
		}
	});
});

test('what the gateway knows better is told next to the field', async () => {
	await visit({}, async (page) => {
		await open(page, 'register');
		for (const [code, members, field, words] of [
			['invalid_email', {}, email(page), 'not an e-mail address'],
			['registration_closed', {}, email(page), 'may not open an account'],
			['weak_password', { reason: 'too_long' }, password(page), 'too long'],
			['weak_password', { reason: 'common' }, password(page), 'would guess'],
			['weak_password', { reason: 'site' }, password(page), 'name of the site'],
			['invalid_request', {}, page.getByLabel('Name optional', { exact: true }), 'This name cannot be used.'],
		]) {
			await answer(page, 'password/register', 400, code, members);
			await fill(page, newAddress(), good);
			await page.keyboard.press('Enter');
			await wrong(page, field, words);
			await page.keyboard.press('End');
			await page.keyboard.type('x');
			assert.equal(await page.getByText(words).count(), 0);
			await page.unroute('**/auth/password/register');
		}
	});
});

test('who cannot be reached is not told a lie, and what was entered stays', async () => {
	await visit({ expected: [/ERR_FAILED/] }, async (page) => {
		await page.route('**/auth/password/register', (route) => route.abort());
		await open(page, 'register');
		await fill(page, 'ada@example.com', good);
		await page.keyboard.press('Enter');
		await says(page, 'The site cannot be reached');
		assert.deepEqual([await email(page).inputValue(), await password(page).inputValue()], ['ada@example.com', good]);
	});
});

// A name goes into the page of the account and into mails, an address into the page that names it, a fragment into a
// script, and whatever the application on this origin stores where the pages store too.
test('hostile names, addresses, links and stores are text, or nothing', async () => {
	const evil = '<img src=x onerror="document.title=\'owned\'">';
	await visit({}, async (page) => {
		const address = `o'brien+${count++}@example.com`;
		await open(page, 'register?return_to=%2Fauth%2Faccount');
		await page.evaluate((text) => localStorage.setItem('authgate-password/register', text), `{"receipt":"${'"><b>'.replaceAll('"', '\\"')}"`);
		await page.getByLabel('Name optional', { exact: true }).fill(evil);
		await fill(page, address, good);
		await page.keyboard.press('Enter');
		await heading(page, 'Check your mail');
		const { link, html } = await mailbox.next(address);
		assert.ok(!html.includes('<img'));
		await page.goto(link);
		await button(page, 'Confirm and sign in').click();
		await at(page, '/auth/account');
		await ways(page);
		assert.ok((await page.textContent('main')).includes(evil));
		await open(page, 'sign-in?return_to=%2Freports');
		await page.getByText(evil).waitFor();

		for (const path of ['activate', 'reset', 'email']) {
			await open(page, `${path}#${evil}`);
			await page.waitForFunction(() => !location.hash);
			await page.locator('form [type=submit]').waitFor();
		}
		await page.evaluate((text) => {
			for (const key of ['password/register', 'password/forgot']) {
				localStorage.setItem(`authgate-${key}`, JSON.stringify({ email: text, receipt: text, returnTo: 'javascript:document.title="owned"' }));
			}
		}, evil);
		await open(page, `activate#${'0'.repeat(32)}`);
		await button(page, 'Confirm and sign in').click();
		await says(page, 'it was used');
		for (const bad of ['"><script>alert(1)</script>@example.com', 'a@b@example.com', 'ada@localhost', 'ada\u202e@example.com']) {
			await open(page, 'forgot');
			await email(page).fill(bad);
			await page.keyboard.press('Enter');
			await wrong(page, email(page), 'not an e-mail address');
		}
		assert.doesNotMatch(await page.title(), /owned/);
	});
});

// A slow line, or a script that did not come: the browser sends the form by itself, and the page answers.
test('before the scripts are there the forms work, and what was entered stays', async () => {
	await visit({ expected: [/status of 4/, /ERR_FAILED/, /fields\.js|imported module/] }, async (page) => {
		await page.route('**/assets/fields.js', (route) => route.abort());
		await page.goto(`${gate.origin}/auth/sign-in?return_to=%2Freports`);
		await fill(page, 'ada@example.com', good);
		await page.keyboard.press('Enter');
		await says(page, wrongWords);
		assert.deepEqual([await email(page).inputValue(), await password(page).inputValue()], ['ada@example.com', '']);
		assert.deepEqual(page.asked, ['POST sign-in']);
	});
});

test('without JavaScript one signs in, confirms, signs out and asks for mails', async () => {
	let address;
	await visit({}, async (page) => { address = await join(page); });
	await visit({ javaScriptEnabled: false, locale: 'de-DE' }, async (page) => {
		await page.goto(`${gate.origin}/reports/2026?q=spring`);
		assert.match(await page.locator('noscript p').innerText(), /JavaScript ist aus/);
		const send = async (fields) => {
			for (const [name, value] of Object.entries(fields)) await page.fill(`[data-plain] [name=${name}]`, value);
			await page.click('[data-plain] button[type=submit]');
		};
		await send({ email: address, password: other });
		assert.match(await page.locator('main > .progress [role=status]').innerText(), /Passwort stimmt nicht/);
		assert.deepEqual([await page.inputValue('#email'), await page.inputValue('#password')], [address, '']);
		assert.match(page.url(), /\/auth\/sign-in$/, 'what was entered is in the address');
		await send({ password: good });
		assert.equal(page.url(), `${gate.origin}/reports/2026?q=spring`);
		await open(page, 'sign-in?return_to=%2Freports');
		await send({ password: other });
		assert.match(await page.locator('main > .progress [role=status]').innerText(), /Passwort stimmt nicht/);
		await send({ password: good });
		assert.equal(page.url(), `${gate.origin}/reports`);
		await open(page, 'account');
		await page.click('[data-sign-out]');
		await page.waitForURL('**/auth/sign-in**');
		await open(page, 'forgot');
		await send({ email: address });
		assert.match(await page.innerText('main'), new RegExp(address));
		await mailbox.next(address);
		await open(page, 'register');
		await send({ email: address, password: 'short' });
		assert.match(await page.locator('main > .progress [role=status]').innerText(), /mindestens 12 Zeichen/);
	});
});

test('without JavaScript pages that need it say so', async () => {
	await visit({ javaScriptEnabled: false }, async (page) => {
		for (const path of ['activate', 'reset', 'email']) {
			await open(page, path);
			assert.match(await page.locator('noscript p').innerText(), /JavaScript/, path);
			assert.equal(await page.locator('form').first().isVisible(), false, path);
		}
	});
});

// In each language, and from right to left: sound, and within its width.
look(Object.fromEntries(['ar', 'de', 'es', 'fr', 'zh-CN'].map((locale) => [`register-${locale}`, { locale }])), (device, { locale }, run) =>
	visit({ ...device, locale }, async (page) => {
		await open(page, 'register');
		assert.deepEqual(await page.evaluate(() => [document.documentElement.lang, document.dir]), [locale === 'zh-CN' ? 'zh-Hans' : locale, locale === 'ar' ? 'rtl' : 'ltr']);
		await run(page);
	}));

// A phone of some years ago on a slow line: four times slower, 1.6 Mbit/s with 150 ms there and back.
test('a slow phone can be used within a second, and nothing moves', async () => {
	await visit({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }, async (page) => {
		await page.addInitScript(() => {
			window.moved = 0;
			new PerformanceObserver((list) => { for (const { value } of list.getEntries()) window.moved += value; }).observe({ type: 'layout-shift', buffered: true });
		});
		const devtools = await page.context().newCDPSession(page);
		await open(page, 'health/live'); // the connection is there
		await devtools.send('Network.enable');
		await devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 150, downloadThroughput: 200_000, uploadThroughput: 94_000 });
		await devtools.send('Emulation.setCPUThrottlingRate', { rate: 4 });
		const shown = [];
		for (let i = 0; i < 25 && !(shown.at(-1) < 1000); i++) { // this machine may have much else to do
			await page.goto(`${gate.origin}/auth/sign-in`, { waitUntil: 'load' });
			await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length);
			shown.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
		}
		assert.ok(shown.at(-1) < 1000, `with a form that works shown after ${shown} ms`);
		await page.locator('[data-wallets] [data-searching]').waitFor({ state: 'detached' });
		assert.ok(await page.evaluate(() => window.moved) < 0.1, 'the page moves');
	});
});

test('a browser that stores nothing can still do all of it', async () => {
	await visit({}, async (page) => {
		await page.addInitScript(() => {
			for (const name of ['localStorage', 'sessionStorage']) {
				Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
			}
		});
		const { link } = await register(page);
		await page.goto(link);
		await button(page, 'Confirm and sign in').click();
		await password(page).fill(good);
		await page.keyboard.press('Enter');
		await page.waitForURL(`${gate.origin}/`);
	});
});

// Whom the operator let in is nobody's business: a stranger is told the same, and has no mail.
test('where accounts are by invitation, only addresses that were let in register', async () => {
	const closed = await start({ registration: 'invite', global: `${mailbox.options}\n\t\tgrant editor let.in@example.com`, env: mailbox.env });
	try {
		await visit({}, async (page) => {
			await open(page, 'sign-in', closed.origin);
			await page.getByRole('link', { name: 'Create an account' }).click();
			await page.getByText('Only for addresses that').waitFor();
			assert.equal(await button(page, 'Create an account with a passkey').count(), 0);
			await fill(page, 'stranger@example.com', good);
			await page.keyboard.press('Enter');
			await heading(page, 'Check your mail');
			await join(page, 'let.in@example.com', closed.origin);
			assert.match(await page.textContent('main'), /editor/);
			assert.deepEqual(mailbox.mails.filter(({ to }) => to === 'stranger@example.com'), []);
		}, closed.origin);
	} finally {
		await closed.stop();
	}
	const nobody = await start({ registration: 'invite', global: mailbox.options, env: mailbox.env });
	try {
		await visit({}, async (page) => {
			await open(page, 'sign-in', nobody.origin);
			await email(page).waitFor();
			assert.equal(await page.getByRole('link', { name: 'Create an account' }).count(), 0);
			await open(page, 'register', nobody.origin);
			await page.getByText('New accounts cannot be opened').waitFor();
		}, nobody.origin);
	} finally {
		await nobody.stop();
	}
});

const account = async (page, change) => {
	await join(page, `ada.lovelace-${count++}@example.com`);
	await change?.(page);
};
const profile = (page, change) => account(page, async () => {
	await open(page, 'account/profile');
	await change();
});
look({
	'password-sign-in': { show: async (page) => { await open(page, 'sign-in?return_to=%2Freports%2F2026%3Fq%3Dspring'); await button(page, 'Good Wallet').waitFor(); } },
	'password-wrong': { show: async (page) => { await signIn(page, 'ada@example.com', 'not the right password'); await wrong(page, password(page), wrongWords); } },
	'password-register': { show: async (page) => { await open(page, 'register'); } },
	'password-register-wrong': {
		show: async (page) => {
			await open(page, 'register');
			await fill(page, 'ada', 'short');
			await button(page, eye).click();
			await password(page).press('Enter');
			await wrong(page, email(page), 'not an e-mail address');
		},
	},
	'password-sent': { show: async (page) => { await register(page); } },
	'password-activate': { show: async (page) => { await page.goto((await register(page)).link); await heading(page, 'Confirm your address'); } },
	'password-activate-elsewhere': {
		show: async (page) => {
			const { link } = await register(page);
			await page.evaluate(() => localStorage.clear());
			await page.goto(link);
			await button(page, 'Confirm and sign in').click();
			await password(page).waitFor();
		},
	},
	'password-link-gone': { show: async (page) => { await open(page, 'activate#0123'); await button(page, 'Confirm and sign in').click(); await says(page, 'it was used'); } },
	'password-forgot': { show: async (page) => { await open(page, 'forgot'); } },
	'password-reset': {
		show: async (page) => {
			await open(page, 'reset#0123');
			await newPassword(page).fill(good);
			await button(page, eye).click();
			await newPassword(page).evaluate((el) => el.dispatchEvent(new KeyboardEvent('keydown', { key: 'A', bubbles: true, modifierCapsLock: true })));
		},
	},
	'password-email': { show: async (page) => { await join(page); await open(page, 'email#0123'); } },
	'password-email-signed-out': { show: async (page) => { await open(page, 'email#0123'); } },
	'password-account': { show: async (page) => { await account(page); } },
	'password-change': { show: (page) => account(page, () => button(page, 'Change the password').click()) },
	'password-change-email': { show: (page) => profile(page, () => button(page, 'Change the e-mail address').click()) },
	'password-step-up': { show: (page) => account(page, async () => { await open(page, 'sign-in?return_to=%2Fadmin%2F'); await password(page).waitFor(); }) },
	'password-confirm': {
		show: (page) => profile(page, async () => {
			await answer(page, 'email/request', 401, 'step_up_required');
			await button(page, 'Change the e-mail address').click();
			await page.getByLabel('New e-mail address').fill(newAddress());
			await page.keyboard.press('Enter');
			await dialog(page).waitFor();
		}),
	},
}, (device, state, run) => visit({ ...device, wallets: [wallet()] }, async (page) => {
	await state.show(page);
	await run(page);
}));
