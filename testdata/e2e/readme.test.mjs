// The examples of the README run as they stand there.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { generatePrivateKey } from 'viem/accounts';
import { launch, open, wallet } from './browser.mjs';
import { openMailbox } from './mailbox.mjs';
import { start } from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

let gate, browser, mailbox, withPassword, frontEnd, withKey, withPlainKey;
before(async () => {
	const readme = await readFile(path.join(here, '..', '..', 'README.md'), 'utf8');
	[withPassword, frontEnd, withKey, withPlainKey] = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map((m) => m[1]);
	mailbox = await openMailbox();
	[gate, browser] = await Promise.all([start({ global: `${mailbox.options}\nkeys ed25519`, env: mailbox.env }), launch()]);
});
after(async () => {
	await browser?.close();
	await gate?.stop();
	await mailbox?.close();
});

// run answers the lines that a program of the README prints.
async function run(program, env) {
	// Beside this file, where its import of viem is found.
	const dir = await mkdtemp(path.join(here, '.readme-'));
	try {
		await writeFile(path.join(dir, 'program.mjs'), program);
		const { stdout } = await promisify(execFile)(process.execPath, [path.join(dir, 'program.mjs')], {
			env: { ...process.env, ORIGIN: gate.origin, ...env },
		});
		return stdout.trim().split('\n');
	} finally {
		await rm(dir, { recursive: true });
	}
}

test('a program registers, confirms and signs in with a password', async () => {
	const env = { EMAIL: 'program@example.com', PASSWORD: 'a long one that nobody has' };
	assert.deepEqual(await run(withPassword, env), ['202']);
	const { link } = await mailbox.next(env.EMAIL);
	const lines = await run(withPassword, { ...env, KEY: link.split('#')[1] });
	assert.equal(lines[0], '200');
	assert.match(lines[1], /^200 /);
});

test('a front end signs in with its own button', async () => {
	const good = wallet({ injected: true });
	const page = await open(browser, gate.origin, { wallets: [good] });
	try {
		await page.goto(`${gate.origin}/auth/sign-in`);
		const { user } = await page.evaluate(`(() => { ${frontEnd}; return signIn(window.ethereum); })()`);
		assert.deepEqual(user.wallets, [good.account.address]);
		const session = await page.evaluate(() => fetch('/auth/session').then((r) => r.json()));
		assert.equal(session.user.id, user.id);
	} finally {
		await page.context().close();
	}
});

test('a program with a key signs in, asks the backend and refreshes', async () => {
	const lines = await run(withKey, { KEY: generatePrivateKey() });
	assert.match(lines[0], /^200 /);
	assert.equal(lines.at(-1), 'Bearer 300');
});

test('a program signs in with a plain key', async () => {
	const { privateKey } = generateKeyPairSync('ed25519');
	const lines = await run(withPlainKey, { PEM: privateKey.export({ type: 'pkcs8', format: 'pem' }) });
	assert.match(lines[0], /^ed25519:[0-9a-f]{64} \d+$/);
});
