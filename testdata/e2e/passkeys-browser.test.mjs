// What the browser itself refuses of passkeys, and what rarer authenticators and extensions give: in a real browser with
// virtual authenticators, through the JSON routes.
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

// enrol opens an account with a passkey; extensions are asked for besides what the gateway asks.
async function enrol(page, extensions = {}) {
	const { challengeID, options } = await asked(page, 'registration/request');
	const credential = await make(page, { ...options, extensions: { ...options.extensions, ...extensions } });
	assert.equal(credential.error, undefined, credential.message);
	return { ...await post(page, 'registration/response', { challengeID, credential, session: 'cookie' }), credential };
}

// signIn signs in with a passkey; extensions as above.
async function signIn(page, extensions = {}) {
	const { challengeID, options } = await asked(page, 'authentication/request');
	const credential = await use(page, { ...options, extensions: { ...options.extensions, ...extensions } });
	assert.equal(credential.error, undefined, credential.message);
	return { ...await post(page, 'authentication/response', { challengeID, credential, session: 'cookie' }), credential };
}

// elsewhere has run use the origin of a server on another port, each page of which is this HTML.
async function elsewhere(html, run) {
	const server = createServer((req, res) => res.setHeader('Content-Type', 'text/html').end(`<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">${html}`));
	await new Promise((resolve) => server.listen(0, resolve));
	try {
		await run(`http://localhost:${server.address().port}`);
	} finally {
		server.closeAllConnections();
		server.close();
	}
}

test('a page in the frame of another origin gets no passkey', async () => {
	await elsewhere(`<iframe src="${gate.origin}/public/"></iframe>`, (origin) => visit({}, async (page) => {
		const device = await authenticator(page);
		await neutral(page);
		assert.equal((await enrol(page)).status, 200);
		await signOut(page);
		await page.goto(origin);
		const frame = page.frames()[1];
		assert.equal(new URL(frame.url()).origin, gate.origin);
		const { options } = await asked(frame, 'authentication/request');
		assert.equal((await use(frame, options)).error, 'NotAllowedError');
		assert.equal((await device.credentials())[0].signCount, 1);
	}, [gate.origin, origin]));
});

// The other origin may allow it to its frame: then the browser says so in what is signed.
test('what a page gets in the frame of another origin that allows it signs nobody in', async () => {
	await elsewhere(`<iframe src="${gate.origin}/public/" allow="publickey-credentials-get"></iframe>`, (origin) => visit({}, async (page) => {
		await authenticator(page);
		await neutral(page);
		assert.equal((await enrol(page)).status, 200);
		await signOut(page);
		await page.goto(origin);
		const frame = page.frames()[1];
		const answer = await signIn(frame);
		assert.equal(JSON.parse(Buffer.from(answer.credential.response.clientDataJSON, 'base64url')).crossOrigin, true);
		refused(answer, 401, 'invalid_assertion');
		assert.equal((await session(frame)).code, 'unauthenticated');
	}, [gate.origin, origin]));
});

test('an old security key, which keeps nothing, is not registered', async () => {
	await visit({}, async (page) => {
		const device = await authenticator(page, 'u2f');
		await neutral(page);
		const { options } = await asked(page, 'registration/request');
		assert.equal(options.authenticatorSelection.residentKey, 'required');
		assert.equal((await make(page, options)).error, 'NotAllowedError');
		assert.deepEqual(await device.credentials(), []);
		assert.equal((await session(page)).code, 'unauthenticated');
	});
});

test('a passkey of a phone signs in, and is asked for by its transports', async () => {
	await visit({}, async (page) => {
		await authenticator(page, 'internal', { transport: 'hybrid' });
		await neutral(page);
		const { body, credential } = await enrol(page);
		const { transports } = credential.response;
		assert.deepEqual(transports, ['ble', 'hybrid']); // Chromium adds the first
		const { body: { credentials: [listed] } } = await send(page, 'GET', 'credentials');
		assert.deepEqual(listed.transports, transports);
		const { options } = await asked(page, 'step-up/authentication/request');
		assert.deepEqual(options.allowCredentials, [{ type: 'public-key', id: credential.id, transports }]);
		await signOut(page);
		assert.equal((await signIn(page)).body.user?.id, body.user.id);
	});
});

test('what extensions give that nobody asked for is passed over', async () => {
	await visit({}, async (page) => {
		await authenticator(page, 'internal', { hasLargeBlob: true });
		await neutral(page);
		const { status, body, credential } = await enrol(page, { largeBlob: { support: 'required' } });
		assert.deepEqual(credential.clientExtensionResults.largeBlob, { supported: true });
		assert.equal(status, 200, JSON.stringify(body));
		await signOut(page);
		const blob = Buffer.from('a secret of the page').toString('base64url');
		const { challengeID, options } = await asked(page, 'authentication/request');
		const written = await use(page, { // a blob is written only with a passkey that is named
			...options, allowCredentials: [{ type: 'public-key', id: credential.id }], extensions: { largeBlob: { write: blob } },
		});
		assert.deepEqual(written.clientExtensionResults.largeBlob, { written: true });
		assert.equal((await post(page, 'authentication/response', { challengeID, credential: written, session: 'cookie' })).status, 200);
		await signOut(page);
		const read = await signIn(page, { largeBlob: { read: true } });
		assert.equal(read.credential.clientExtensionResults.largeBlob.blob, blob);
		assert.deepEqual([read.status, read.body.user?.id], [200, body.user.id]);
		assert.ok(!JSON.stringify(read.body).includes(blob));
	});
});

test('a browser that is to answer at once says that it has no passkey, or uses the one it has', async () => {
	await visit({}, async (page) => {
		const device = await authenticator(page, 'internal', { presence: false });
		await neutral(page);
		assert.equal((await page.evaluate(() => PublicKeyCredential.getClientCapabilities())).immediateGet, true);
		const none = await asked(page, 'authentication/request');
		assert.equal((await use(page, none.options, { uiMode: 'immediate' })).error, 'NotAllowedError', 'without a touch');
		await device.touch(true);
		const { body } = await enrol(page);
		await signOut(page);
		const { challengeID, options } = await asked(page, 'authentication/request');
		const credential = await use(page, options, { uiMode: 'immediate' });
		assert.equal(credential.error, undefined, credential.message);
		const again = await post(page, 'authentication/response', { challengeID, credential, session: 'cookie' });
		assert.equal(again.body.user?.id, body.user.id);
	});
});

// The gateway will not run with rp_id on an origin that is neither below it nor related: the page is one of another gateway.
test('on https names: a page of an origin that is not related gets nothing', async () => {
	const [apex, related, unlisted] = ['https://example.test', 'https://related.test', 'https://unlisted.test'];
	const gates = await Promise.all([
		start({ hosts: ['unlisted.test'] }),
		start({
			hosts: ['example.test', 'related.test'],
			global: 'passkey {\n\t\t\trp_id example.test\n\t\t\trelated_origins https://related.test\n\t\t}',
		}),
	]);
	const [foreign, own] = gates.map(({ switches }) => switches.map((text) => text.slice(text.indexOf('=') + 1)));
	const both = await launch(
		`--host-resolver-rules=${foreign[0].replace('*', 'unlisted')},${own[0]}`, // the first that fits counts
		`--ignore-certificate-errors-spki-list=${foreign[1]},${own[1]}`,
	);
	try {
		await visit({ browser: both }, async (page) => {
			const device = await authenticator(page);
			await neutral(page, apex);
			assert.equal((await enrol(page)).status, 200);
			await signOut(page);
			const [old, anew] = [await asked(page, 'authentication/request'), await asked(page, 'registration/request')];
			await neutral(page, unlisted);
			for (const answer of [await use(page, old.options), await make(page, anew.options)]) {
				assert.equal(answer.error, 'SecurityError');
				assert.match(answer.message, /no listed origin matched/);
			}
			assert.deepEqual((await device.credentials()).map(({ signCount }) => signCount), [1]);
			await neutral(page, related);
			assert.equal((await use(page, old.options)).error, undefined);
		}, [apex, related, unlisted]);
	} finally {
		await both.close();
		await Promise.all(gates.map((one) => one.stop()));
	}
});
