// A fresh operator's story: an empty folder, a Caddyfile, and what the README tells, up to two people with different roles,
// one who is shut out, a log that tells it all, and another machine that goes on with a backup.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { authenticator, wallet } from './browser.mjs';
import { assertSoon, at, button, says } from './people.mjs';
import { start } from './server.mjs';
import { stage } from './stage.mjs';

const configuration = { registration: 'invite', site: 'allow role editor /posts/*' };
const gate = stage(() => configuration);
const { visit } = gate;
const refusals = { expected: [/status of 4/] };

// send asks a route as a script of the page would.
const send = (page, method, route, body) => page.evaluate(async ([m, r, b]) => {
	const response = await fetch(`/auth/${r}`, { method: m, headers: { 'content-type': 'application/json' }, body: b && JSON.stringify(b) });
	return { status: response.status, body: await response.json().catch(() => null) };
}, [method, route, body]);
const me = async (page) => (await send(page, 'GET', 'session')).body.user;
const visited = async (page, pathname, origin = gate.origin) => (await page.goto(origin + pathname)).status();

test('an operator begins with nothing and ends with two people, a log that proves itself, and a second machine', async () => {
	// Nobody is there, and the log tells how the first one comes in.
	await assertSoon(() => assert.match(gate.log(), /caddy authgate invite --role admin/));
	assert.match(await gate.caddy('user', 'list'), /^Nobody\.$/m);
	const [first] = (await gate.caddy('invite', '--role', 'admin')).split('\n');

	const bob = wallet();
	let passkeys, ada, id;
	await visit({ ...refusals }, async (admin) => {
		const device = await authenticator(admin);
		await admin.goto(first);
		await button(admin, 'Create an account with a passkey').click();
		await admin.waitForURL(`${gate.origin}/`);
		ada = await me(admin);
		assert.deepEqual(ada.roles, ['admin']);
		passkeys = await device.credentials();
		assert.equal(await visited(admin, '/admin/'), 200);
		assert.equal(await visited(admin, '/posts/1'), 403, 'only who is an editor');

		// She invites the second one, who comes in with a wallet.
		const made = await send(admin, 'POST', 'admin/invites', { roles: ['editor'], note: 'Bob' });
		assert.equal(made.status, 200, JSON.stringify(made));
		await visit({ ...refusals, wallets: [bob] }, async (page) => {
			await page.goto(made.body.link);
			await page.getByText('It comes with: editor').waitFor();
			await button(page, bob.name).click();
			await page.waitForURL(`${gate.origin}/`);
			({ id } = await me(page));
			assert.equal(await visited(page, '/admin/'), 403);
			assert.equal(await visited(page, '/posts/1'), 200);

			// The page is open when he is shut out, and what it asks for next is refused.
			const out = await send(admin, 'POST', `admin/users/${id}/disable`);
			assert.ok(out.status === 200 || out.status === 204, JSON.stringify(out));
			await assertSoon(async () => assert.equal(await page.evaluate(async () => (await fetch('/posts/2')).status), 401));
			assert.match(await gate.caddy('user', 'list', '--disabled'), new RegExp(bob.account.address));
			await page.goto(`${gate.origin}/posts/1`);
			await button(page, bob.name).click();
			await says(page, 'disabled');
		});
	});

	// The log tells all of it, the newest first, and who did it.
	const { events } = JSON.parse(await gate.caddy('audit', '--json'));
	const told = events.reverse().map(({ kind, subject, actor }) => [kind, subject ?? '', actor ?? ''].join(' ').trim());
	const story = ['configuration_loaded', 'invite_created', `user_created ${ada.id}`, 'invite_created', `user_created ${id}`, `user_disabled ${id} ${ada.id}`, 'sign_in_refused'];
	let seen = 0;
	for (const line of told) {
		seen += line.startsWith(story[seen] ?? '\n') ? 1 : 0;
	}
	assert.equal(seen, story.length, `no ${story[seen]} in\n${told.join('\n')}`);
	assert.match(await gate.caddy('audit', 'verify'), /^The chain of \d+ events holds\.$/m);
	await gate.caddy('user', 'enable', bob.account.address);

	// Another machine goes on with a backup.
	const dir = await mkdtemp(path.join(tmpdir(), 'authgate-backup-'));
	const backup = path.join(dir, 'authgate.backup');
	let other;
	try {
		assert.match(await gate.caddy('backup', backup), /: 2 users,/);
		other = await start({ ...configuration, backup });
		await visit(refusals, async (page) => {
			const device = await authenticator(page);
			for (const passkey of passkeys) {
				await device.add(passkey);
			}
			await page.goto(`${other.origin}/admin/`);
			await button(page, 'Sign in with a passkey').click();
			await at(page, '/admin/');
			assert.equal((await me(page)).id, ada.id);
		}, other.origin);
		await visit({ ...refusals, wallets: [bob] }, async (page) => {
			await page.goto(`${other.origin}/posts/1`);
			await button(page, bob.name).click();
			await at(page, '/posts/1');
			assert.equal((await me(page)).id, id);
		}, other.origin);
		assert.match(await other.caddy('audit', 'verify'), /^The chain of \d+ events holds\.$/m);
		assert.doesNotMatch(other.log(), /caddy authgate invite --role admin/, 'there are accounts');
	} finally {
		await other?.stop();
		await rm(dir, { recursive: true, force: true });
	}
});
