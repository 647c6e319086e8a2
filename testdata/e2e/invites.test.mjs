// Invites and recovery links as people use them: the operator's command prints a link, its page leads to an account with each
// way to sign in, and back into one. The mails go through a real mail server.
//
// AUTHGATE_SCREENSHOTS names a directory for pictures, as in pages.test.mjs.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { authenticator, wallet } from './browser.mjs';
import { openMailbox } from './mailbox.mjs';
import { at, button, look, says, signOut } from './people.mjs';
import { stage } from './stage.mjs';

let mailbox;
const gate = stage(async () => {
	mailbox = await openMailbox();
	return { global: mailbox.options, env: mailbox.env, registration: 'invite' };
});
after(() => mailbox?.close());
const { visit } = gate;

const invite = async (...args) => (JSON.parse(await gate.caddy('invite', '--json', ...args))).link;
const recover = async (user) => (JSON.parse(await gate.caddy('recover', '--json', user))).link;
const me = (page) => page.evaluate(async () => (await (await fetch('/auth/session')).json()).user);
const gone = { expected: [/status of 4/] };

let count = 0;
const newAddress = () => `eve-${count++}@example.com`;

test('somebody invited opens an account with a passkey; opening the page spends nothing, and the link is good once', async () => {
	const link = await invite('--role', 'editor');
	await visit({}, async (page) => {
		await authenticator(page);
		await page.goto(link);
		await page.getByText('It comes with: editor').waitFor();
		assert.equal(new URL(page.url()).hash, '', 'the key stays in the address');
		await page.reload();
		await page.getByText('You are invited to open an account').waitFor();
		await button(page, 'Create an account with a passkey').click();
		await page.waitForURL(`${gate.origin}/`);
		assert.deepEqual((await me(page)).roles, ['editor']);
	});
	await visit(gone, async (page) => {
		await page.goto(link);
		await says(page, 'This invite has expired or was used already.');
		assert.equal(await page.locator('[data-open]').isVisible(), false);
	});
});

test('somebody invited opens an account with a wallet', async () => {
	const link = await invite('--role', 'editor');
	const mine = wallet();
	await visit({ wallets: [mine] }, async (page) => {
		await page.goto(link);
		await button(page, mine.name).click();
		await page.waitForURL(`${gate.origin}/`);
		assert.deepEqual((await me(page)).roles, ['editor']);
	});
});

test('somebody invited opens an account with a password', async () => {
	const link = await invite('--role', 'editor');
	const address = newAddress();
	await visit({}, async (page) => {
		await page.goto(link);
		await page.getByLabel('E-mail address').fill(address);
		await page.getByLabel('Password', { exact: true }).fill('an ocean of green tea');
		await button(page, 'Create the account').click();
		await page.getByRole('heading', { name: 'Check your mail' }).waitFor();
		await page.goto((await mailbox.next(address)).link);
		await button(page, 'Confirm and sign in').click();
		await page.waitForURL(`${gate.origin}/`);
		assert.deepEqual((await me(page)).roles, ['editor']);
	});
});

// Whoever opens the link and then goes to the page to sign in has the invite with them.
test('an invite goes along to the page to sign in', async () => {
	const link = await invite('--role', 'editor');
	const mine = wallet();
	await visit({ wallets: [mine] }, async (page) => {
		await page.goto(link);
		await page.getByRole('link', { name: 'Sign in' }).click();
		await at(page, '/auth/sign-in');
		await button(page, mine.name).click();
		await page.waitForURL(`${gate.origin}/`);
		assert.deepEqual((await me(page)).roles, ['editor']);
	});
});

test('whoever is signed in is told that an invite is for a new account', async () => {
	const mine = wallet();
	await visit({ wallets: [mine] }, async (page) => {
		await page.goto(await invite());
		await button(page, mine.name).click();
		await page.waitForURL(`${gate.origin}/`);
		await page.goto(await invite());
		await page.getByText('An invite is for a new account').waitFor();
		await button(page, 'Sign out and open a new account').click();
		await button(page, mine.name).waitFor();
	});
});

test('links that are not complete, or made up, are told', async () => {
	await visit(gone, async (page) => {
		await page.goto(`${gate.origin}/auth/invite`);
		await says(page, 'This link is not complete.');
		await page.goto(`${gate.origin}/auth/invite#guess`);
		await says(page, 'This invite is not known here');
		await page.goto(`${gate.origin}/auth/recover`);
		await says(page, 'This link is not complete.');
		await page.goto(`${gate.origin}/auth/recover#guess`);
		await says(page, 'This link does not work any more');
	});
});

test('somebody who lost a wallet comes back with a passkey, and is signed out elsewhere', async () => {
	const mine = wallet();
	await visit({ wallets: [mine] }, async (page) => {
		await page.goto(await invite());
		await button(page, mine.name).click();
		await page.waitForURL(`${gate.origin}/`);
		const { id } = await me(page);
		const link = await recover(id);
		await visit({}, async (other) => {
			await authenticator(other);
			await other.goto(link);
			await other.getByText('This link is for the account of').waitFor();
			assert.equal(await other.getByLabel('Password').count() && await other.getByLabel('Password').first().isVisible(), false, 'no address, no password');
			await button(other, 'Add a passkey').click();
			await other.waitForURL(`${gate.origin}/`);
			assert.equal((await me(other)).id, id);
			await signOutOf(other);
			await other.goto(`${gate.origin}/auth/sign-in`);
			await button(other, 'Sign in with a passkey').click();
			await other.waitForURL(`${gate.origin}/`);
			assert.equal((await me(other)).id, id);
		});
		assert.equal(await page.evaluate(async () => (await fetch('/auth/session')).status), 401);
		page.faults.length = 0; // that answer
		await visit(gone, async (other) => {
			await other.goto(link);
			await says(other, 'This link does not work any more');
		});
	});
});

async function signOutOf(page) {
	await page.goto(`${gate.origin}/auth/account`);
	await signOut(page);
}

test('somebody who forgot everything comes back with a new password, or a wallet', async () => {
	const address = newAddress();
	const mine = wallet();
	await visit({ wallets: [mine] }, async (page) => {
		await page.goto(await invite());
		await page.getByLabel('E-mail address').fill(address);
		await page.getByLabel('Password', { exact: true }).fill('an ocean of green tea');
		await button(page, 'Create the account').click();
		await page.goto((await mailbox.next(address)).link);
		await button(page, 'Confirm and sign in').click();
		await page.waitForURL(`${gate.origin}/`);
		const { id } = await me(page);
		await page.goto(await recover(address));
		await page.getByLabel('New password', { exact: true }).fill('seven lamps for a snail');
		await button(page, 'Set the password and sign in').click();
		await page.waitForURL(`${gate.origin}/`);
		assert.equal((await me(page)).id, id);
		await page.goto(await recover(address));
		await button(page, mine.name).click();
		await page.waitForURL(`${gate.origin}/`);
		assert.deepEqual((await me(page)).wallets, [mine.account.address]);
	});
});

// somebody opens an account and answers its id.
async function somebody() {
	const mine = wallet();
	let id;
	await visit({ wallets: [mine] }, async (page) => {
		await page.goto(await invite());
		await button(page, mine.name).click();
		await page.waitForURL(`${gate.origin}/`);
		({ id } = await me(page));
	});
	return id;
}

look({
	invite: async (page) => {
		await page.goto(await invite('--role', 'editor'));
		await page.getByText('It comes with').waitFor();
	},
	recover: async (page) => {
		await page.goto(await recover(await somebody()));
		await page.getByText('This link is for the account of').waitFor();
	},
	'invite-used': async (page) => {
		await page.goto(`${gate.origin}/auth/invite#guess`);
		await says(page, 'This invite is not known here');
	},
}, (device, state, run) => visit({ ...device, ...gone, wallets: [wallet()] }, async (page) => {
	await state(page);
	await run(page);
}));
