// Passkeys in a real browser with virtual authenticators, through the JSON routes as a program in a page uses them; on
// http://localhost and on https names.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { authenticator, launch } from './browser.mjs';
import { asked, make, post, program, refused, send, session, signOut, use } from './program.mjs';
import { start } from './server.mjs';
import { stage } from './stage.mjs';

const gate = stage();
const visit = (options, run, origin) => gate.visit({ expected: [/status of 4\d\d/], program, ...options }, run, origin);
const neutral = (page, origin = gate.origin) => page.goto(`${origin}/public/`);

// enrol opens an account with a passkey, or adds one to that of whoever is signed in.
async function enrol(page, wanted = {}, named = {}) {
	const { challengeID, options } = await asked(page, 'registration/request', wanted);
	const credential = await make(page, options);
	assert.equal(credential.error, undefined);
	const answer = await post(page, 'registration/response', { challengeID, credential, session: 'cookie', ...named });
	return { ...answer, credential };
}

// signIn signs in with a passkey; change may change what is sent.
async function signIn(page, wanted = {}, change = (answer) => answer, prefix = '') {
	const { challengeID, options } = await asked(page, `${prefix}authentication/request`, wanted);
	const credential = await use(page, options);
	if (credential.error) {
		return { error: credential.error };
	}
	return post(page, `${prefix}authentication/response`, await change({ challengeID, credential, session: 'cookie' }));
}

// enrolled answers a device with a passkey, whose user is signed in.
async function enrolled(page, kind, options) {
	const device = await authenticator(page, kind, options);
	await neutral(page);
	assert.equal((await enrol(page)).status, 200);
	return device;
}

test('a passkey that a device keeps signs in without a username', async () => {
	await visit({}, async (page) => {
		const device = await authenticator(page);
		await neutral(page);
		const { status, body, credential } = await enrol(page, { username: `Ada-${Date.now()}` });
		assert.equal(status, 200);
		assert.equal(credential.clientExtensionResults.credProps.rk, true);
		assert.match(body.user.username, /^ada-\d+$/);
		assert.deepEqual(body.user.methods, ['passkey']);
		await signOut(page);
		const again = await signIn(page);
		assert.equal(again.body.user.id, body.user.id);
		assert.equal((await session(page)).user.id, body.user.id);
		const [kept] = await device.credentials();
		assert.deepEqual([kept.isResidentCredential, kept.signCount, kept.userName], [true, 2, body.user.username]);
		const { body: { credentials: [listed] } } = await send(page, 'GET', 'credentials');
		assert.equal(listed.aaguid, '01020304-0506-0708-0102-030405060708');
		assert.deepEqual(listed.transports, ['internal']);
		assert.equal(listed.synced, false);
	});
});

test('a security key signs in too, by the username as well', async () => {
	await visit({}, async (page) => {
		await authenticator(page, 'usb');
		await neutral(page);
		const { body } = await enrol(page);
		await signOut(page);
		const { options } = await asked(page, 'authentication/request', { username: body.user.username });
		assert.equal(options.allowCredentials.length, 1);
		const again = await signIn(page, { username: body.user.username.toUpperCase() });
		assert.equal(again.body.user.id, body.user.id);
	});
});

// Who asks for names must not learn which of them have accounts.
test('a username that nobody has is answered like any other, and no passkey fits', async () => {
	await visit({}, async (page) => {
		await enrolled(page);
		const { user: { username } } = await session(page);
		await signOut(page);
		const shape = ({ options }) => JSON.stringify(options, (key, value) => (typeof value === 'string' && key !== 'type' ? '' : value));
		const nobody = await asked(page, 'authentication/request', { username: 'nobody-at-all' });
		const somebody = await asked(page, 'authentication/request', { username });
		assert.deepEqual(Object.keys(nobody.options), Object.keys(somebody.options));
		assert.ok(nobody.options.allowCredentials.length > 0, shape(nobody));
		assert.equal((await use(page, nobody.options)).error, 'NotAllowedError');
	});
});

test('a device has one passkey for an account, and an account several devices', async () => {
	await visit({}, async (page) => {
		const first = await enrolled(page);
		const { options } = await asked(page, 'registration/request');
		assert.equal((await make(page, options)).error, 'InvalidStateError');
		await first.detach();
		await authenticator(page, 'usb');
		const { status, body } = await enrol(page, {}, { name: 'Key ring' });
		assert.deepEqual([status, body.credential.name, body.credential.transports], [200, 'Key ring', ['usb']]);
		await signOut(page);
		assert.equal((await signIn(page)).status, 200);
	});
});

test('who is not verified does not get far', async () => {
	await visit({}, async (page) => {
		const device = await enrolled(page);
		await signOut(page);
		await device.verify(false);
		assert.equal((await signIn(page)).error, 'NotAllowedError');
		await device.detach();
		await authenticator(page, 'noUV');
		const { options } = await asked(page, 'registration/request');
		assert.equal((await make(page, options)).error, 'NotAllowedError');
	});
});

// An authenticator, or a browser, that does not do what was asked of it.
for (const [name, bits] of Object.entries({
	'does not verify its user': { isBadUV: true }, 'was not touched': { isBadUP: true }, 'signs nonsense': { isBogusSignature: true },
})) {
	test(`an authenticator that ${name} signs nobody in`, async () => {
		await visit({}, async (page) => {
			const device = await enrolled(page);
			await signOut(page);
			await device.lie(bits);
			refused(await signIn(page), 401, 'invalid_assertion');
			assert.equal((await session(page)).code, 'unauthenticated');
			if (!bits.isBogusSignature) {
				await device.clear();
				refused(await enrol(page), 400, 'invalid_attestation');
			}
		});
	});
}

// recount gives the only passkey of a device another sign count.
async function recount(device, signCount) {
	const [kept] = await device.credentials();
	await device.remove(kept.credentialId);
	await device.add({ ...kept, signCount });
}

test('a sign count that does not grow is refused for a key that is on one device', async () => {
	await visit({}, async (page) => {
		const device = await enrolled(page);
		await recount(device, 10);
		assert.equal((await signIn(page)).status, 200, 'it grew');
		await signOut(page);
		await recount(device, 4);
		refused(await signIn(page), 401, 'invalid_assertion');
		await recount(device, 10);
		refused(await signIn(page), 401, 'invalid_assertion');
		await recount(device, 20);
		assert.equal((await signIn(page)).status, 200);
	});
});

test('a synced key may count as it likes', async () => {
	await visit({}, async (page) => {
		const device = await enrolled(page, 'synced');
		await recount(device, 10);
		assert.equal((await signIn(page)).status, 200);
		await recount(device, 4);
		assert.equal((await signIn(page)).status, 200);
	});
});

// Somebody copied the key out of the authenticator: of the two, the one that counts less is refused.
test('of a key and its copy in another browser, one is refused', async () => {
	await visit({}, async (page) => {
		const device = await enrolled(page);
		const [copied] = await device.credentials();
		assert.equal((await signIn(page)).status, 200);
		await visit({}, async (other) => {
			const copy = await authenticator(other);
			await copy.add(copied);
			await neutral(other);
			refused(await signIn(other), 401, 'invalid_assertion');
		});
	});
});

test('a passkey that comes to be synced, or backed up, or neither any more, signs in all the same', async () => {
	await visit({}, async (page) => {
		const device = await enrolled(page);
		const [{ credentialId }] = await device.credentials();
		for (const [backupEligibility, backupState] of [[true, true], [true, false], [false, false]]) {
			await device.set(credentialId, { backupEligibility, backupState });
			assert.equal((await signIn(page)).status, 200, `${backupEligibility}, ${backupState}`);
			const { body: { credentials: [listed] } } = await send(page, 'GET', 'credentials');
			assert.deepEqual([listed.synced, listed.backed_up], [backupEligibility, backupState]);
		}
		await device.set(credentialId, { backupEligibility: false, backupState: true });
		refused(await signIn(page), 401, 'invalid_assertion'); // WebAuthn, 6.1.3: not possible
	});
});

// Whoever sees an answer go by cannot use it, not even for a challenge of their own.
test('an answer counts once, and for its own challenge', async () => {
	await visit({}, async (page) => {
		await enrolled(page);
		await signOut(page);
		let sent;
		assert.equal((await signIn(page, {}, (answer) => (sent = answer))).status, 200);
		await signOut(page);
		refused(await post(page, 'authentication/response', sent), 400, 'challenge_not_found');
		const { challengeID } = await asked(page, 'authentication/request');
		refused(await post(page, 'authentication/response', { ...sent, challengeID }), 401, 'invalid_assertion');
		refused(await post(page, 'authentication/response', { ...sent, challengeID: 'AAAA' }), 400, 'challenge_not_found');
		const { challengeID: other } = await asked(page, 'registration/request');
		refused(await post(page, 'authentication/response', { ...sent, challengeID: other }), 400, 'challenge_not_found');
	});
});

const decode = (text) => Buffer.from(text, 'base64url');
const clientData = (change) => ({ credential }) => {
	const data = JSON.parse(decode(credential.response.clientDataJSON));
	change(data);
	credential.response.clientDataJSON = Buffer.from(JSON.stringify(data)).toString('base64url');
};
const authenticatorData = (change) => ({ credential }) => {
	const data = decode(credential.response.authenticatorData);
	change(data);
	credential.response.authenticatorData = data.toString('base64url');
};
for (const [part, tamper] of Object.entries({
	'the challenge': clientData((data) => { data.challenge = Buffer.alloc(32).toString('base64url'); }),
	'the type': clientData((data) => { data.type = 'webauthn.create'; }),
	'the origin': clientData((data) => { data.origin = 'http://localhost:1'; }),
	'a further member': clientData((data) => { data.further = true; }),
	'the hash of the domain': authenticatorData((data) => { data[0] ^= 1; }),
	'the flag of verification': authenticatorData((data) => { data[32] ^= 4; }),
	'the sign count': authenticatorData((data) => { data[36] ^= 64; }),
	'the user handle': ({ credential }) => { credential.response.userHandle = Buffer.alloc(64).toString('base64url'); },
	'no user handle': ({ credential }) => { delete credential.response.userHandle; },
	'the credential id': ({ credential }) => { credential.id = credential.rawId = Buffer.alloc(32, 7).toString('base64url'); },
	'the signature': ({ credential }) => { credential.response.signature = Buffer.alloc(70, 48).toString('base64url'); },
})) {
	test(`an answer is refused where this was changed: ${part}`, async () => {
		await visit({}, async (page) => {
			await enrolled(page);
			await signOut(page);
			const answer = await signIn(page, {}, (sent) => { tamper(sent); return sent; });
			refused(answer, 401, 'invalid_assertion');
			assert.equal((await session(page)).code, 'unauthenticated');
		});
	});
}

test("somebody else's passkey does not answer for a username, nor steps up, and nobody learns whose it is", async () => {
	await visit({}, async (page) => {
		const mine = await enrolled(page);
		const { user: { username } } = await session(page);
		const [credential] = await mine.credentials();
		await signOut(page);
		await mine.clear();
		await enrol(page);
		// In place of the passkey of this user that of the other one is asked for.
		const instead = (options) => ({ ...options, allowCredentials: [{ type: 'public-key', id: Buffer.from(credential.credentialId, 'base64').toString('base64url') }] });
		await mine.add(credential);
		const step = await asked(page, 'step-up/authentication/request');
		refused(await post(page, 'step-up/authentication/response', {
			challengeID: step.challengeID, credential: await use(page, instead(step.options)),
		}), 401, 'invalid_assertion');
		const other = (await session(page)).user.username;
		assert.notEqual(other, username);
		await signOut(page);
		const named = await asked(page, 'authentication/request', { username: other });
		const answer = await post(page, 'authentication/response', {
			challengeID: named.challengeID, credential: await use(page, instead(named.options)),
		});
		refused(answer, 401, 'invalid_assertion');
		assert.equal(answer.body.signal, undefined);
	});
});

// A page on another port of this host may ask for the same passkeys; it is another origin.
test('a page of another origin on the same host cannot sign in with what it gets', async () => {
	const elsewhere = createServer((req, res) => res.setHeader('Content-Type', 'text/html').end('<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">'));
	await new Promise((resolve) => elsewhere.listen(0, resolve));
	const origin = `http://localhost:${elsewhere.address().port}`;
	try {
		await visit({}, async (page) => {
			await enrolled(page);
			await signOut(page);
			const { challengeID, options } = await asked(page, 'authentication/request');
			await page.goto(origin);
			const credential = await use(page, options);
			assert.equal(credential.error, undefined);
			await neutral(page);
			refused(await post(page, 'authentication/response', { challengeID, credential }), 401, 'invalid_assertion');
		}, [gate.origin, origin]);
	} finally {
		elsewhere.closeAllConnections();
		elsewhere.close();
	}
});

test('stepping up renews the session, of the same user, with a passkey', async () => {
	await visit({}, async (page) => {
		await enrolled(page);
		const was = await session(page);
		const { status, body } = await signIn(page, {}, (answer) => answer, 'step-up/');
		assert.equal(status, 200);
		assert.equal(body.session.id, was.session.id);
		assert.ok(body.session.auth_time >= was.session.auth_time);
		assert.deepEqual((await session(page)).user, was.user);
	});
});

test('verification can be preferred: then a passkey is one factor', async () => {
	const lenient = await start({ global: 'passkey {\n\t\t\tuser_verification preferred\n\t\t}' });
	try {
		await visit({}, async (page) => {
			const device = await authenticator(page);
			await neutral(page, lenient.origin);
			await enrol(page);
			await device.lie({ isBadUV: true });
			const { status, body } = await signIn(page);
			assert.deepEqual([status, body.user?.methods], [200, ['passkey']]);
		}, lenient.origin);
	} finally {
		await lenient.stop();
	}
});

test('synced passkeys can be forbidden, attestations asked for, and challenges be short', async () => {
	const strict = await start({ global: 'passkey {\n\t\t\tsynced forbid\n\t\t\tattestation direct\n\t\t\tchallenge_ttl 8s\n\t\t}' });
	try {
		await visit({}, async (page) => {
			const synced = await authenticator(page, 'synced');
			await neutral(page, strict.origin);
			refused(await enrol(page), 400, 'invalid_attestation');
			await synced.detach();
			const device = await authenticator(page);
			const { status, credential } = await enrol(page);
			assert.equal(status, 200);
			assert.match(decode(credential.response.attestationObject).toString('latin1'), /fmt.packed/);
			await signOut(page);
			const late = async (answer) => {
				await new Promise((resolve) => setTimeout(resolve, 8100)); // of the server: nobody can set its clock
				return answer;
			};
			refused(await signIn(page, {}, late), 408, 'challenge_expired');
			await device.set((await device.credentials())[0].credentialId, { backupEligibility: true, backupState: true });
			refused(await signIn(page), 401, 'invalid_assertion');
		}, strict.origin);
	} finally {
		await strict.stop();
	}
});

test('on https names: one domain for several hosts, each with its own ceremonies, and a related origin', async () => {
	const hosts = ['example.test', 'app.example.test', 'other.example.test', 'related.test'];
	const origins = hosts.map((host) => `https://${host}`);
	const many = await start({
		hosts, global: 'passkey {\n\t\t\trp_id example.test\n\t\t\trelated_origins https://related.test\n\t\t}',
	});
	const own = await launch(...many.switches);
	try {
		await visit({ browser: own }, async (page) => {
			const [apex, app, other, related] = origins;
			const device = await authenticator(page);
			await neutral(page, app);
			const { body } = await enrol(page);
			assert.equal((await device.credentials())[0].rpId, 'example.test');
			// A sibling shares the passkeys, but not the ceremony.
			const begun = await asked(page, 'authentication/request');
			const cookies = await page.context().cookies();
			assert.deepEqual(cookies.map(({ name, secure, httpOnly }) => [name, secure, httpOnly]), [['__Host-authgate', true, true]]);
			await neutral(page, other);
			const foreign = await use(page, begun.options);
			assert.equal(foreign.error, undefined);
			await neutral(page, app);
			await signOut(page);
			const anew = await asked(page, 'authentication/request');
			refused(await post(page, 'authentication/response', { challengeID: anew.challengeID, credential: foreign }), 401, 'invalid_assertion');
			for (const origin of [other, apex, related]) {
				await neutral(page, origin);
				assert.equal((await signIn(page)).body.user?.id, body.user.id, origin);
			}
			// The page of the related origin, with its autofill.
			await signOut(page);
			await page.goto(`${related}/auth/sign-in?return_to=%2Fauth%2Faccount`);
			await page.waitForURL(`${related}/auth/account`);
			const endpoints = await (await page.goto(`${app}/.well-known/passkey-endpoints`)).json();
			assert.deepEqual(endpoints, { enroll: `${app}/auth/account`, manage: `${app}/auth/account` });
		}, origins);
	} finally {
		await own.close();
		await many.stop();
	}
});
