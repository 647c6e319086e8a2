// Passkeys as people use them on the pages, in Chromium with virtual authenticators: signing in, opening an account, and
// managing what one signs in with.
//
// AUTHGATE_SCREENSHOTS names a directory for pictures, as in pages.test.mjs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticator, wallet } from './browser.mjs';
import { answer, assertSoon, at, button, dialog, focused, look, reach, ready, rewrite, says, signOut, status, ways } from './people.mjs';
import { start } from './server.mjs';
import { stage } from './stage.mjs';

const gate = stage();
const { visit } = gate;

const signInPage = (page, returnTo = '/auth/account', origin = gate.origin, waitUntil = 'load') =>
	page.goto(`${origin}/auth/sign-in?return_to=${encodeURIComponent(returnTo)}`, { waitUntil });
const signInButton = 'Sign in with a passkey';
const createButton = 'Create an account with a passkey';

let count = 0;
const newName = () => `ada-${Date.now()}-${count++}`;

// join opens an account at the page.
async function join(page, name = newName(), returnTo = '/auth/account', origin = gate.origin) {
	await signInPage(page, returnTo, origin);
	await page.getByLabel('Username').fill(name);
	await button(page, createButton).click();
	await at(page, returnTo);
	return name;
}

test('a person opens an account with a passkey, signs out, and signs in with one button', async () => {
	await visit({}, async (page) => {
		await authenticator(page);
		const name = await join(page, `  ${newName().toUpperCase()} `, '/reports?year=2026');
		await page.goto(`${gate.origin}/auth/account`);
		assert.match(await page.textContent('main'), new RegExp(name.trim().toLowerCase()));
		await signOut(page);
		await button(page, signInButton).click();
		await page.waitForURL(`${gate.origin}/`);
	});
});

// Before the scripts are there the browser would send the form in its own way, and forget where its user wanted to go.
test('whoever is faster than the scripts loses nothing', async () => {
	await visit({}, async (page) => {
		await authenticator(page);
		let release;
		const loaded = new Promise((resolve) => { release = resolve; });
		await page.route('**/assets/passkey.js', async (route) => {
			await loaded;
			await route.continue();
		});
		await signInPage(page, '/reports', gate.origin, 'commit');
		await page.getByLabel('Username').fill(newName());
		await page.keyboard.press('Enter');
		await button(page, createButton).click({ force: true });
		assert.match(page.url(), /return_to=%2Freports$/);
		release();
		await button(page, createButton).click();
		await at(page, '/reports');
	});
});

test('who gives no username is given one', async () => {
	await visit({}, async (page) => {
		await authenticator(page);
		await signInPage(page);
		await button(page, createButton).click();
		await at(page, '/auth/account');
		assert.match(await page.textContent('main'), /user-[a-z2-7]+/);
	});
});

test('a passkey that is chosen from the suggestions signs in', async () => {
	await visit({ suggestions: true }, async (page) => {
		const device = await authenticator(page);
		await join(page);
		await device.touch(false);
		await signOut(page);
		assert.equal(await page.getByLabel('Username').getAttribute('autocomplete'), 'username webauthn');
		await page.goto('about:blank'); // which ends what this page waits for
		await device.touch(true); // chosen at once, without a button
		await signInPage(page, '/reports');
		await at(page, '/reports');
		assert.equal(page.asked.filter((route) => route === 'POST authentication/response').length, 1);
	});
});

test('with a username, the passkeys of that account are asked for', async () => {
	await visit({}, async (page) => {
		await authenticator(page);
		const name = await join(page);
		await signOut(page);
		const asked = page.waitForRequest((request) => request.url().endsWith('authentication/request') && request.postData() !== '{}');
		await page.getByLabel('Username').fill(name);
		await page.keyboard.press('Enter');
		assert.deepEqual(JSON.parse((await asked).postData()), { username: name });
		await page.waitForURL(`${gate.origin}/`);
	});
});

test('what is wrong with a username is told next to it', async () => {
	await visit({ expected: [/status of 4/] }, async (page) => {
		const device = await authenticator(page);
		const taken = await join(page);
		await signOut(page);
		await device.clear();
		for (const [name, words] of [['.ada', 'begin with a letter or digit'], [taken, 'This name is taken.']]) {
			await page.getByLabel('Username').fill(name);
			await button(page, createButton).click();
			await page.getByText(words).waitFor();
			assert.equal(await focused(page), 'username');
			const field = page.getByLabel('Username');
			assert.equal(await field.getAttribute('aria-invalid'), 'true');
			assert.ok((await field.getAttribute('aria-describedby')).split(' ').includes(await page.getByText(words).getAttribute('id')));
			assert.equal(await status(page).textContent(), '');
			await page.keyboard.press('x');
			assert.equal(await page.getByText(words).count(), 0);
		}
		// The passkey for the name that was taken is of no use, so the device does not keep it.
		await assertSoon(async () => assert.deepEqual(await device.credentials(), []));
	});
});

test('a wallet that announces itself while a passkey is asked for waits until that is over', async () => {
	await visit({}, async (page) => {
		await authenticator(page, 'internal', { presence: false });
		await signInPage(page);
		await button(page, createButton).click();
		await says(page, 'Follow the window');
		await page.evaluate(() => window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({
			info: { uuid: crypto.randomUUID(), name: 'Newcomer', icon: '', rdns: 'test.newcomer' }, provider: { request() {} },
		}) })));
		assert.equal(await button(page, 'Newcomer').getAttribute('aria-disabled'), 'true');
		await button(page, 'Cancel').click();
		assert.equal(await button(page, 'Newcomer').getAttribute('aria-disabled'), null);
	});
});

test('whoever cancels, in the page or at the device, is told quietly and can try again', async () => {
	await visit({}, async (page) => {
		const device = await authenticator(page);
		await join(page);
		await device.touch(false);
		await signOut(page);
		await button(page, signInButton).click();
		await says(page, 'Choose your passkey');
		assert.equal(await button(page, createButton).getAttribute('aria-disabled'), 'true');
		await button(page, 'Cancel').click();
		await says(page, 'Cancelled.');
		assert.equal(await focused(page), signInButton);

		await device.verify(false);
		await device.touch(true);
		await button(page, signInButton).click();
		await says(page, /^No passkey was used, and nothing happened\. If you have none for \S+ yet, press “Create an account with a passkey”\.$/);
		assert.equal(await status(page).getAttribute('data-kind'), '');
		assert.equal(await focused(page), signInButton);

		await device.verify(true);
		await page.keyboard.press('Enter');
		await page.waitForURL(`${gate.origin}/`);
	});
});

// countAsks runs in the page: how often it asked for a passkey.
function countAsks() {
	const { get } = CredentialsContainer.prototype;
	window.asks = 0;
	CredentialsContainer.prototype.get = function (options) {
		window.asks++;
		return get.call(this, options);
	};
}

const requests = (page) => page.asked.filter((route) => route === 'POST authentication/request').length;

test('suggestions are asked for anew before the challenge is too old, after a try that failed, and when somebody looks again', async () => {
	await visit({ suggestions: true, program: countAsks }, async (page) => {
		const device = await authenticator(page, 'internal', { presence: false });
		await page.clock.install();
		await signInPage(page);
		await page.waitForFunction(() => window.asks === 1); // only then its clock is running
		assert.equal(requests(page), 1);
		await page.clock.fastForward('03:30');
		assert.equal(requests(page), 1, 'too early');
		await page.clock.fastForward('00:10');
		await assertSoon(async () => assert.equal(requests(page), 2));

		await button(page, signInButton).click(); // one for the button,
		await says(page, 'Choose your passkey');
		assert.equal(requests(page), 3);
		await button(page, 'Cancel').click(); // and one for the suggestions
		await assertSoon(async () => assert.equal(requests(page), 4));

		const look = (hidden) => page.evaluate((value) => {
			Object.defineProperty(document, 'hidden', { value, configurable: true });
			document.dispatchEvent(new Event('visibilitychange'));
		}, hidden);
		await look(true);
		await page.clock.fastForward('10:00');
		assert.equal(requests(page), 4, 'nobody looks');
		await look(false);
		await assertSoon(async () => assert.equal(requests(page), 5));
		await look(false);
		assert.equal(requests(page), 5, 'it is new still');

		// The last of them is good.
		await device.detach();
	});
});

// The account is gone, or its owner removed the passkey elsewhere: the device would offer it for ever.
test('a passkey that is not known any more is told so, and is not offered again', async () => {
	await visit({ expected: [/status of 401/] }, async (page) => {
		const device = await authenticator(page);
		await join(page);
		const [old] = await device.credentials();
		await device.detach();
		const second = await authenticator(page, 'usb');
		await button(page, 'Add a passkey').click();
		await says(page, 'The passkey is added.');
		await page.locator('.ways [data-remove]').first().click();
		await dialog(page).getByRole('button', { name: 'Remove' }).click();
		await says(page, 'is removed.');
		await signOut(page);
		await second.detach();
		const again = await authenticator(page);
		await again.add(old);
		await button(page, signInButton).click();
		await says(page, 'This passkey is not known here any more');
		await assertSoon(async () => assert.deepEqual(await again.credentials(), []));
	});
});

// An answer that got lost may have been a good one: the passkey must stay.
test('a passkey is not forgotten where it may have been accepted', async () => {
	await visit({ expected: [/ERR_FAILED|status of 503/] }, async (page) => {
		const device = await authenticator(page);
		await page.route('**/auth/registration/response', (route) => route.abort());
		await signInPage(page);
		await button(page, createButton).click();
		await says(page, 'The site cannot be reached');
		await page.unroute('**/auth/registration/response');
		await answer(page, 'registration/response', 503, 'unavailable', { headers: { 'retry-after': '20' } });
		await button(page, createButton).click();
		await says(page, 'try again in 20 seconds');
		assert.equal((await device.credentials()).length, 2);
	});
});

const refusals = [
	['authentication/response', 408, 'challenge_expired', 'That took too long'],
	['authentication/response', 401, 'invalid_assertion', 'was not accepted'],
	['authentication/response', 403, 'account_disabled', 'is disabled'],
	['authentication/request', 429, 'too_many_requests', 'Too many tries'],
	['authentication/request', 404, 'not_found', 'switched off'],
	['authentication/request', 418, 'teapot', 'That did not work'],
	['registration/request', 403, 'registration_closed', 'No new accounts'],
	['registration/response', 400, 'invalid_attestation', 'cannot keep a passkey of the kind'],
];
test('what the gateway refuses is told in words', async (t) => {
	await visit({ expected: [/status of 4/] }, async (page) => {
		await authenticator(page);
		await join(page);
		await signOut(page);
		for (const [route, code, name, words] of refusals) {
			await t.test(`${name}: ${words}`, async () => {
				await signInPage(page);
				await answer(page, route, code, name);
				const starts = route.startsWith('reg') ? createButton : signInButton;
				await button(page, starts).click();
				await says(page, words);
				assert.equal(await status(page).getAttribute('data-kind'), 'bad');
				assert.equal(await focused(page), starts);
				await page.unroute(`**/auth/${route}`);
			});
		}
	});
});

test('a domain that does not fit is told to the user and to whoever runs the site', async () => {
	await visit({}, async (page) => {
		await authenticator(page);
		await rewrite(page, 'registration/request', ({ creationOptions }) => { creationOptions.publicKey.rp.id = 'elsewhere.test'; });
		await signInPage(page);
		await button(page, createButton).click();
		await says(page, 'Passkeys cannot be used at this address.');
		await says(page, 'rp_id');
	});
});

test('where no authenticator answers at all, the page gives up in the end', async () => {
	await visit({}, async (page) => {
		const device = await authenticator(page, 'internal', { presence: false });
		await page.clock.install();
		await signInPage(page);
		await button(page, signInButton).click();
		await says(page, 'Choose your passkey');
		await page.clock.fastForward('04:40');
		await says(page, 'Choose your passkey');
		await page.clock.fastForward('00:20');
		await says(page, 'That took too long.');
		await device.detach();
	});
});

// Browsers before 2025 lack the functions that read and write JSON, and some password managers hand out objects whose
// toJSON throws.
for (const [name, change] of Object.entries({
	'has no JSON of its own': () => {
		delete PublicKeyCredential.parseCreationOptionsFromJSON;
		delete PublicKeyCredential.parseRequestOptionsFromJSON;
		delete PublicKeyCredential.prototype.toJSON;
	},
	'throws where it should write JSON': () => {
		PublicKeyCredential.prototype.toJSON = () => { throw new TypeError('Illegal invocation'); };
	},
	'takes no signals': () => {
		delete PublicKeyCredential.signalAllAcceptedCredentials;
		delete PublicKeyCredential.signalCurrentUserDetails;
	},
})) {
	test(`passkeys work in a browser that ${name}`, async () => {
		await visit({}, async (page) => {
			await page.addInitScript(change);
			const device = await authenticator(page);
			const username = await join(page);
			await device.detach();
			await authenticator(page, 'usb');
			await button(page, 'Add a passkey').click(); // with the first one to be excluded
			await says(page, 'The passkey is added.');
			await signOut(page);
			await page.getByLabel('Username').fill(username); // with a list of those allowed
			await button(page, signInButton).click();
			await page.waitForURL(`${gate.origin}/`);
		});
	});
}

test('a browser without passkeys says so, and wallets still work', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await page.addInitScript(() => { delete window.PublicKeyCredential; });
		await signInPage(page);
		await page.getByText('This browser cannot use passkeys here.').waitFor();
		assert.equal(await button(page, signInButton).isVisible(), false);
		await button(page, 'Good Wallet').click();
		await at(page, '/auth/account');
		await ways(page);
		assert.equal(await button(page, 'Add a passkey').isVisible(), false);
	});
});

// A secret that is meant for the page alone must not be sent along because somebody asked for it.
test('what an authenticator derives from its key stays in the browser', async () => {
	await visit({}, async (page) => {
		await authenticator(page, 'internal', { hasPrf: true });
		await rewrite(page, 'registration/request', ({ creationOptions }) => { creationOptions.publicKey.extensions = { prf: {} }; });
		await join(page);
		await signOut(page);
		await rewrite(page, 'authentication/request', ({ requestOptions }) => {
			requestOptions.publicKey.extensions = { prf: { eval: { first: 'AAAA' } } };
		});
		const sent = page.waitForRequest('**/auth/authentication/response');
		await button(page, signInButton).click();
		const { credential } = JSON.parse((await sent).postData());
		assert.deepEqual(credential.clientExtensionResults.prf, {});
		await page.waitForURL(`${gate.origin}/`);
	});
});

test('a passkey can be added, named and removed; the last one has to stay', async () => {
	await visit({ expected: [/status of 409/] }, async (page) => {
		const device = await authenticator(page);
		await join(page);
		assert.deepEqual(await ways(page), ['Passkey']);
		await page.getByText('on one device only').waitFor();
		await page.getByText('Your only passkey is kept on one device.').waitFor();

		await button(page, 'Remove Passkey').click();
		await says(page, 'This is your only way to sign in');
		assert.equal(page.asked.some((route) => route.startsWith('DELETE')), false);

		await button(page, 'Add a passkey').click(); // on the same device
		await says(page, 'There is a passkey for this account here already.');
		await device.detach();
		const synced = await authenticator(page, 'synced');
		await page.getByLabel('Name of a new passkey').fill(' <b>Laptop</b> ');
		await page.keyboard.press('Enter');
		await says(page, 'The passkey is added.');
		assert.deepEqual(await ways(page), ['Passkey', '<b>Laptop</b>']);
		await page.getByText('Passkey · synced').waitFor();
		assert.equal(await page.getByText('Your only passkey').isVisible(), false);
		assert.equal(await page.getByLabel('Name of a new passkey').inputValue(), '');

		await button(page, 'Rename <b>Laptop</b>').click();
		assert.equal(await focused(page), 'Name');
		await page.keyboard.press('Escape');
		assert.equal(await focused(page), 'Rename <b>Laptop</b>');
		await page.keyboard.press('Enter');
		await page.keyboard.type('Desk');
		await page.keyboard.press('Enter');
		await says(page, 'It is called Desk now.');
		assert.equal(await focused(page), 'Rename Desk');

		await button(page, 'Remove Desk').click();
		assert.match(await dialog(page).textContent(), /Remove Desk\?.*not be able to sign in with it/s);
		await dialog(page).getByRole('button', { name: 'Keep' }).click();
		assert.equal(await focused(page), 'Remove Desk');
		await answer(page, 'credentials/*', 409, 'last_credential', { times: 1 }); // removed in another tab meanwhile
		await page.keyboard.press('Enter');
		await dialog(page).getByRole('button', { name: 'Remove' }).click();
		await says(page, 'This is your only way to sign in');
		await page.keyboard.press('Enter');
		assert.equal((await synced.credentials()).length, 1);
		await dialog(page).getByRole('button', { name: 'Remove' }).click();
		await says(page, 'Desk is removed.');
		assert.deepEqual(await ways(page), ['Passkey']);
		// Who keeps the passkey is told.
		await assertSoon(async () => assert.deepEqual(await synced.credentials(), []));
	});
});

test('the browser is told the name of the account', async () => {
	await visit({}, async (page) => {
		const device = await authenticator(page);
		const name = await join(page);
		await ways(page);
		await rewrite(page, 'credentials', (json) => { json.signals.displayName = 'Ada Lovelace'; });
		await page.reload();
		await ways(page);
		await assertSoon(async () => {
			const [{ userName, userDisplayName }] = await device.credentials();
			assert.deepEqual([userName, userDisplayName], [name, 'Ada Lovelace']);
		});
	});
});

test('a change that wants a fresh sign-in is confirmed in a dialog, and goes on', async () => {
	const impatient = await start({ global: 'session {\n\t\t\tfresh 6s\n\t\t}' });
	try {
		await visit({ expected: [/status of 401/] }, async (page) => {
			const device = await authenticator(page);
			await join(page, newName(), '/auth/account', impatient.origin);
			await ways(page);
			await new Promise((resolve) => setTimeout(resolve, 6100)); // of the server: nobody can set its clock
			await button(page, 'Rename Passkey').click();
			await page.keyboard.type('Phone');
			await page.keyboard.press('Enter');
			await dialog(page).getByRole('heading', { name: 'Confirm it is you' }).waitFor();
			assert.equal(await dialog(page).getByText('With an Ethereum wallet').isVisible(), false);
			await page.keyboard.press('Escape');
			await says(page, 'Nothing was changed.');
			assert.deepEqual(await ways(page), ['Passkey']);

			assert.equal(await focused(page), 'Name');
			await page.keyboard.press('Enter');
			await device.verify(false);
			await dialog(page).getByRole('button', { name: 'Use your passkey' }).click();
			await dialog(page).getByText('No passkey was used').waitFor();
			await device.verify(true);
			await dialog(page).getByRole('button', { name: 'Use your passkey' }).click();
			await says(page, 'It is called Phone now.');
			assert.deepEqual(await ways(page), ['Phone']);
			assert.equal(page.asked.filter((route) => route.startsWith('PATCH')).length, 3);
		}, impatient.origin);
	} finally {
		await impatient.stop();
	}
});

test('a passkey is added after the user has confirmed it with a wallet, and confirms from then on', async () => {
	await visit({ wallets: [wallet()], expected: [/status of 401/] }, async (page) => {
		await authenticator(page);
		await signInPage(page);
		await button(page, 'Good Wallet').click();
		await at(page, '/auth/account');
		assert.equal((await ways(page)).length, 1);
		await answer(page, 'registration/request', 401, 'step_up_required', { times: 1 });
		await button(page, 'Add a passkey').click();
		assert.equal(await dialog(page).getByRole('button', { name: 'Use your passkey' }).isVisible(), false);
		await dialog(page).getByRole('button', { name: 'Good Wallet' }).click();
		await says(page, 'The passkey is added.');
		assert.equal((await ways(page)).length, 2);
		assert.deepEqual(page.asked.filter((route) => route.includes('step-up')), ['POST step-up/challenge/create', 'POST step-up/challenge/sign']);

		await signInPage(page, '/reports');
		await page.getByRole('heading', { name: 'Confirm it is you' }).waitFor();
		await button(page, 'Use your passkey').click();
		await at(page, '/reports');
	});
});

test('who is signed in confirms it with what they have, and nothing else is offered', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		const device = await authenticator(page);
		await join(page);
		await signInPage(page, '/reports');
		await button(page, 'Use your passkey').waitFor();
		assert.equal(await page.getByText('With an Ethereum wallet').isVisible(), false);
		assert.equal(await page.getByLabel('Username').count(), 0);
		await device.verify(false);
		await button(page, 'Use your passkey').click();
		await says(page, 'No passkey was used');
		await device.verify(true);
		await button(page, 'Use your passkey').click();
		await at(page, '/reports');
		assert.ok(page.asked.includes('POST step-up/authentication/response'));
		assert.equal(page.asked.includes('POST authentication/response'), false);
	});
});

test('a wallet can be added and removed', async () => {
	const good = wallet();
	await visit({ wallets: [good], expected: [/status of 401/] }, async (page) => {
		await authenticator(page);
		const name = await join(page);
		await ways(page);
		await button(page, 'Add a wallet').click();
		await dialog(page).waitFor();
		await page.keyboard.press('Escape');
		await says(page, 'Nothing was changed.');
		await answer(page, 'challenge/sign', 401, 'step_up_required', { times: 1 });
		await button(page, 'Add a wallet').click();
		await dialog(page).getByRole('button', { name: 'Good Wallet' }).click();
		await dialog(page).getByRole('button', { name: 'Use your passkey' }).click();
		await dialog(page).getByRole('heading', { name: 'Choose the wallet to add' }).waitFor();
		await dialog(page).getByRole('button', { name: 'Good Wallet' }).click();
		await says(page, 'The wallet is added.');
		const { address } = good.account;
		assert.match(await page.textContent('main'), new RegExp(`${name}[^]*${address}`));
		const short = `${address.slice(0, 6)}…${address.slice(-4)}`;
		assert.deepEqual(await ways(page), ['Passkey', short]);
		await button(page, `Remove ${short}`).click();
		await dialog(page).getByRole('button', { name: 'Remove' }).click();
		await says(page, 'The wallet is removed.');
		assert.deepEqual(await ways(page), ['Passkey']);
		assert.doesNotMatch(await page.textContent('main'), new RegExp(address));
	});
});

test('everything about passkeys works by keyboard alone', async () => {
	await visit({}, async (page) => {
		const device = await authenticator(page);
		await signInPage(page);
		await ready(page);
		await reach(page, 'username');
		await page.keyboard.type(newName());
		await reach(page, createButton);
		await page.keyboard.press('Enter');
		await at(page, '/auth/account');
		await ways(page);
		await device.detach();
		await authenticator(page, 'usb');
		await reach(page, 'Rename Passkey');
		await page.keyboard.press('Space');
		await page.keyboard.type('First');
		await page.keyboard.press('Enter');
		await says(page, 'It is called First now.');
		await reach(page, 'Add a passkey');
		await page.keyboard.press('Enter');
		await says(page, 'The passkey is added.');
		await page.keyboard.press('Shift+Tab');
		await reach(page, 'Sign out');
		await page.keyboard.press('Enter');
		await says(page, 'You are signed out.');
		await ready(page);
		await reach(page, 'username');
		await page.keyboard.press('Enter');
		await page.waitForURL(`${gate.origin}/`);
	});
});

// Every state worth a look is sound for assistive technology, fits its width and is photographed.
const states = {
	'passkey-sign-in': { show: async (page) => { await signInPage(page, '/reports/2026?q=spring'); await button(page, 'Good Wallet').waitFor(); } },
	'passkey-name': {
		show: async (page) => {
			await signInPage(page);
			await page.getByLabel('Username').fill('.ada');
			await button(page, createButton).click();
			await page.getByText('begin with a letter or digit').waitFor();
		},
	},
	'passkey-creating': { show: async (page) => { await signInPage(page); await button(page, createButton).click(); await says(page, 'Follow the window'); } },
	'passkey-account': { present: true, show: async (page) => { await join(page, 'ada-' + Math.random().toString(36).slice(2, 7)); await ways(page); } },
	'passkey-rename': { present: true, show: async (page) => { await join(page); await ways(page); await button(page, 'Rename Passkey').click(); } },
	'passkey-remove': {
		present: true,
		show: async (page) => {
			await join(page);
			await rewrite(page, 'credentials', (json) => json.credentials.push({ id: 'x', kind: 'passkey', name: 'Desk', provider: '1Password', synced: true, created: '2026-03-01T10:00:00Z' },
				{ id: 'y', kind: 'wallet', name: '', wallet: 'eip155:10:0x52908400098527886E0F7030069857D2E4169EE7', created: '2026-03-01T10:00:00Z', last_used: '2026-03-04T10:00:00Z' }));
			await page.reload();
			await ways(page);
			await button(page, 'Remove Desk').click();
		},
	},
	'passkey-confirm': {
		present: true,
		show: async (page) => {
			await join(page);
			await ways(page);
			await answer(page, 'registration/request', 401, 'step_up_required');
			await button(page, 'Add a passkey').click();
			await dialog(page).waitFor();
		},
	},
	'passkey-wallet': { present: true, show: async (page) => { await join(page); await ways(page); await button(page, 'Add a wallet').click(); await dialog(page).getByRole('button', { name: 'Good Wallet' }).waitFor(); } },
	'passkey-step-up': { present: true, show: async (page) => { await join(page); await signInPage(page, '/admin/'); await button(page, 'Use your passkey').waitFor(); } },
};
look(states, (device, state, run) => visit({ ...device, wallets: [wallet()], expected: [/status of 40/] }, async (page) => {
	await authenticator(page, 'internal', { presence: Boolean(state.present) });
	await state.show(page);
	await run(page);
}));
