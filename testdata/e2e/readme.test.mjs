// The examples of the README run as they stand there.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { generatePrivateKey } from 'viem/accounts';
import { launch, open, wallet } from './browser.mjs';
import { start } from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

let gate, browser, frontEnd, program;
before(async () => {
	const readme = await readFile(path.join(here, '..', '..', 'README.md'), 'utf8');
	[frontEnd, program] = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map((m) => m[1]);
	[gate, browser] = await Promise.all([start(), launch()]);
});
after(async () => {
	await browser?.close();
	await gate?.stop();
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
	// Beside this file, where its import of viem is found.
	const dir = await mkdtemp(path.join(here, '.readme-'));
	try {
		await writeFile(path.join(dir, 'program.mjs'), program);
		const { stdout } = await promisify(execFile)(process.execPath, [path.join(dir, 'program.mjs')], {
			env: { ...process.env, ORIGIN: gate.origin, KEY: generatePrivateKey() },
		});
		const lines = stdout.trim().split('\n');
		assert.match(lines[0], /^200 /);
		assert.equal(lines.at(-1), 'Bearer 300');
	} finally {
		await rm(dir, { recursive: true });
	}
});
