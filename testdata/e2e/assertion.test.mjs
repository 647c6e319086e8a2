// Assertions as backends verify them: by jose from npm, and by each program of the README that can be run here.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { calculateJwkThumbprint, createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify, SignJWT, UnsecuredJWT } from 'jose';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { start } from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

let gate, readme, dir;
before(async () => {
	[gate, readme, dir] = await Promise.all([
		start({ global: 'grant editor 0x52908400098527886E0F7030069857D2E4169EE7' }),
		readFile(path.join(here, '..', '..', 'README.md'), 'utf8'),
		mkdtemp(path.join(here, '.readme-')), // where an import of jose finds it, and one of Go the module
	]);
});
after(async () => {
	await gate?.stop();
	await rm(dir, { recursive: true, force: true });
});

// signIn answers what a program gets that signs in with a new wallet.
async function signIn() {
	const account = privateKeyToAccount(generatePrivateKey());
	const post = (route, body) => fetch(`${gate.origin}/auth/${route}`, {
		method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
	}).then((r) => r.json());
	const { challengeMessage } = await post('challenge/create', { address: account.address, chainId: 1 });
	return post('challenge/sign', { challenge: challengeMessage, signature: await account.signMessage({ message: challengeMessage }) });
}

const assertionOf = async (token) => (await (await fetch(`${gate.origin}/reports`, { headers: { Authorization: `Bearer ${token}` } })).json()).headers['x-authgate-assertion'];

test('jose verifies an assertion by the published keys, and nothing else for one', async () => {
	const keys = createRemoteJWKSet(new URL(`${gate.origin}/auth/jwks.json`));
	const rules = { algorithms: ['ES256'], typ: 'assertion+jwt', issuer: gate.origin, audience: gate.origin, requiredClaims: ['sub', 'sid', 'iat', 'exp', 'jti', 'auth_time'] };
	const { access_token, user } = await signIn();
	const said = await assertionOf(access_token);
	const { payload, protectedHeader } = await jwtVerify(said, keys, rules);
	assert.deepEqual(Object.keys(protectedHeader).sort(), ['alg', 'kid', 'typ']);
	assert.deepEqual([payload.sub, payload.preferred_username, payload.amr], [user.id, user.username, ['swk', 'pop'].filter((m) => payload.amr.includes(m))]);
	assert.ok(payload.exp - payload.iat <= 120);
	await assert.rejects(jwtVerify(access_token, keys, rules), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'typ' });
	await assert.rejects(jwtVerify(said, keys, { ...rules, audience: 'https://other.example.com' }), { claim: 'aud' });
	await assert.rejects(jwtVerify(said, keys, { ...rules, currentDate: new Date(payload.exp * 1000) }), { code: 'ERR_JWT_EXPIRED' });
	const again = await Promise.all(Array.from({ length: 20 }, () => assertionOf(access_token)));
	assert.deepEqual([...new Set(again)], [said], 'signed anew within seconds');
	assert.equal((await fetch(`${gate.origin}/reports`, { headers: { Authorization: `Bearer ${said}` } })).status, 401, 'taken for an access token');
});

// issuer is a gateway whose keys are here: it answers { origin, lines, close }, lines being assertions and what is none, each
// with what a program has to say of it.
async function issuer() {
	const [mine, foreign] = await Promise.all([generateKeyPair('ES256', { extractable: true }), generateKeyPair('ES256')]);
	const publicKey = await exportJWK(mine.publicKey);
	const kid = await calculateJwkThumbprint(publicKey);
	const jwks = JSON.stringify({ keys: [{ ...publicKey, use: 'sig', alg: 'ES256', kid }] });
	const server = createServer((request, response) => response.setHeader('Content-Type', 'application/json').end(jwks));
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	const origin = `http://127.0.0.1:${server.address().port}`;
	const now = Math.floor(Date.now() / 1000);
	const good = { iss: origin, aud: origin, sub: 'u-1', sid: 's-1', iat: now, exp: now + 3600, name: 'x","exp":9999999999,"sub":"root' };
	const head = { alg: 'ES256', kid, typ: 'assertion+jwt' };
	const sign = (claims, header = {}, key = mine.privateKey) => {
		const all = JSON.parse(JSON.stringify({ ...good, ...claims }, (_, value) => value ?? undefined));
		return new SignJWT(all).setProtectedHeader(JSON.parse(JSON.stringify({ ...head, ...header }, (_, value) => value ?? undefined))).sign(key);
	};
	const fine = await sign({});
	const [, payload, signature] = fine.split('.');
	const lines = [
		['good', fine, 'u-1'],
		['signed by another key', await sign({}, {}, foreign.privateKey)],
		['unknown kid', await sign({}, { kid: 'A'.repeat(43) })],
		['no kid', await sign({}, { kid: null })],
		['type of an access token', await sign({}, { typ: 'at+jwt' })],
		['no type', await sign({}, { typ: null })],
		['unsigned', new UnsecuredJWT(good).encode()],
		['public key as a secret', await sign({}, { alg: 'HS256' }, new TextEncoder().encode(JSON.stringify(publicKey)))],
		['other issuer', await sign({ iss: 'https://other.example.com' })],
		['other audience', await sign({ aud: 'https://other.example.com' })],
		['no audience', await sign({ aud: null })],
		['expired', await sign({ iat: now - 200, exp: now - 80 })],
		['expired a second ago', await sign({ iat: now - 121, exp: now - 1 })],
		['never expires', await sign({ exp: null, name: null })],
		['without subject', await sign({ sub: null, name: null })],
		['other claims', [fine.split('.')[0], Buffer.from(JSON.stringify({ ...good, sub: 'root' })).toString('base64url'), signature].join('.')],
		['no signature', `${fine.split('.')[0]}.${payload}.`],
		['garbage', 'x'],
		['empty parts', '..'],
		['good once more', fine, 'u-1'],
	];
	return { origin, lines, close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }) };
}

const has = (...command) => {
	try {
		execFileSync(command[0], command.slice(1), { stdio: 'ignore' });
		return true;
	} catch {
		return false;
	}
};

// Where each program of the README stands, and how it is run. Rust is not: its packages come from a registry that is not asked here.
const python = ['/usr/bin/python3', 'python3'].find((one) => has(one, '-c', 'import jwt, cryptography'));
const programs = {
	go: { file: 'main.go', run: (file) => ['go', 'run', file] },
	javascript: { file: 'program.mjs', run: (file) => [process.execPath, file] },
	python: python && { file: 'program.py', run: (file) => [python, file] },
	java: has('java', '--version') && has('javac', '--version') && {
		file: 'Assertions.java', build: (file) => ['javac', '-d', dir, file], run: () => ['java', '-XX:TieredStopAtLevel=1', '-cp', dir, 'Assertions'],
	},
};

for (const [language, program] of Object.entries(programs)) {
	if (!program) {
		console.log(`the program of the README in ${language} was not run: what it needs is not here`);
		continue;
	}
	test(`the program of the README in ${language} takes assertions and nothing else`, async () => {
		const code = [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map((m) => m[1]).find((one) => one.includes('assertion+jwt') || one.includes('assertion\\\\+jwt'));
		const file = path.join(dir, program.file);
		await writeFile(file, code);
		if (program.build) {
			const [compiler, ...files] = program.build(file);
			execFileSync(compiler, files);
		}
		const [command, ...args] = program.run(file);
		const verify = (origin, lines) => new Promise((resolve, reject) => {
			const child = execFile(command, args, { cwd: here, env: { ...process.env, ORIGIN: origin } }, (error, out, err) => (error ? reject(new Error(err)) : resolve(out.trim().split('\n'))));
			child.stdin.end(lines.map((line) => `${line}\n`).join(''));
		});
		const { origin, lines, close } = await issuer();
		try {
			const said = await verify(origin, lines.map(([, line]) => line));
			assert.deepEqual(lines.map(([name], i) => `${name}: ${said[i]}`), lines.map(([name, , want = 'refused']) => `${name}: ${want}`));
		} finally {
			await close();
		}
		const { access_token, user } = await signIn();
		assert.deepEqual(await verify(gate.origin, [await assertionOf(access_token), access_token]), [user.id, 'refused']);
	});
}

test('the README shows programs in five languages', () => {
	for (const language of [...Object.keys(programs), 'rust']) {
		assert.match(readme, new RegExp(`^\`\`\`${language}\n`, 'm'));
	}
});
