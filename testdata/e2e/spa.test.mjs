// A single-page app whose session ends while somebody works in it: in Chromium, with the module that the gateway serves.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { wallet } from './browser.mjs';
import { at, button } from './people.mjs';
import { stage } from './stage.mjs';

const gate = stage();

const app = `<!doctype html><html lang="en"><title>App</title><label>Note <input id="note"></label><button id="save">Save</button>
<output id="said"></output><script type="module">
import { fetch } from '/auth/authgate.js';
window.ask = async (url, options) => { const answer = await fetch(url, options); return { status: answer.status, body: await answer.json() }; };
window.started = Math.random();
document.getElementById('save').addEventListener('click', async () => {
	const { body } = await window.ask('/notes', { method: 'POST', body: document.getElementById('note').value, headers: { 'X-App': '1' } });
	document.getElementById('said').textContent = body.headers?.['remote-user'] ?? 'refused';
});
addEventListener('authgate-blocked', () => { window.blocked = true; });
</script></html>`;

// play opens the app for who is signed in by this wallet.
const play = (mine, run, more = [], headers = {}) => gate.visit({ wallets: [mine, ...more], popUps: true, expected: [/status of 401/, /^request: https:\/\/other\.test\//] }, async (page) => {
	await page.route('**/app', (route) => route.fulfill({ contentType: 'text/html', headers, body: app }));
	await page.goto(`${gate.origin}/auth/sign-in?return_to=%2Fapp`);
	await button(page, mine.name).click();
	await at(page, '/app');
	await page.waitForFunction(() => window.ask);
	await page.evaluate(() => window.ask('/first')); // until it knows who is there
	await run(page);
});

// endSession ends it elsewhere: the page hears nothing of that.
async function endSession(page) {
	const { user } = await (await page.context().request.get(`${gate.origin}/auth/session`)).json();
	await gate.caddy('session', 'end', user.id, '--all');
}

// work types something, saves it when the session is over, and answers the pop-up that opens.
async function work(page) {
	await page.getByLabel('Note').fill('half a novel');
	await endSession(page);
	const [popUp] = await Promise.all([page.waitForEvent('popup'), button(page, 'Save').click()]);
	popUp.setDefaultTimeout(60_000);
	return popUp;
}

const posted = () => gate.seen.filter(({ method, url }) => method === 'POST' && url === '/notes');

test('a request of a page whose session has ended is repeated after signing in in a pop-up, and the page is kept', async () => {
	const mine = wallet();
	await play(mine, async (page) => {
		const before = await page.evaluate(() => window.started);
		gate.seen.length = 0;
		const popUp = await work(page);
		await button(popUp, mine.name).waitFor();
		assert.equal(await page.getByRole('status').textContent(), '');
		await Promise.all([popUp.waitForEvent('close'), button(popUp, mine.name).click()]);
		await page.getByText(mine.account.address).waitFor();
		assert.equal(await page.evaluate(() => window.started), before, 'the page was loaded anew');
		assert.equal(await page.getByLabel('Note').inputValue(), 'half a novel');
		assert.deepEqual(posted().map(({ headers }) => [headers['x-app'], headers['content-length']]), [['1', '12']]);
	});
});

test('many requests ask once, and all are repeated', async () => {
	const mine = wallet();
	await play(mine, async (page) => {
		const popUps = [];
		page.on('popup', (popUp) => popUps.push(popUp));
		await endSession(page);
		const asked = page.evaluate(() => Promise.all(Array.from({ length: 8 }, (_, i) => window.ask(`/rows/${i}`).then(({ status, body }) => [status, body.url]))));
		const popUp = popUps[0] ?? await page.waitForEvent('popup');
		await button(popUp, mine.name).click();
		assert.deepEqual(await asked, Array.from({ length: 8 }, (_, i) => [200, `/rows/${i}`]));
		assert.equal(popUps.length, 1);
	});
});

// What one person began on a page, another who signs in on it must not finish.
test('nothing is repeated for somebody else', async () => {
	const mine = wallet(), other = wallet({ name: 'Other' });
	await play(mine, async (page) => {
		gate.seen.length = 0;
		const popUp = await work(page);
		await Promise.all([page.waitForEvent('load'), button(popUp, 'Other').click()]);
		await page.waitForFunction(() => window.ask);
		assert.equal(await page.getByLabel('Note').inputValue(), '');
		assert.deepEqual(posted(), []);
	}, [other]);
});

test('a pop-up that is closed leaves the request refused, and the next one asks anew', async () => {
	const mine = wallet();
	await play(mine, async (page) => {
		gate.seen.length = 0;
		const popUp = await work(page);
		await button(popUp, mine.name).waitFor();
		await popUp.close();
		await page.getByText('refused').waitFor();
		assert.deepEqual(posted(), []);
		const [next] = await Promise.all([page.waitForEvent('popup'), button(page, 'Save').click()]);
		await Promise.all([next.waitForEvent('close'), button(next, mine.name).click()]);
		await page.getByText(mine.account.address).waitFor();
		assert.equal(posted().length, 1);
	});
});

// Who sat there before closed the pop-up: the page still is theirs.
test('nothing is repeated for somebody else, nor after a pop-up was closed', async () => {
	const mine = wallet(), other = wallet({ name: 'Other' });
	await play(mine, async (page) => {
		gate.seen.length = 0;
		const popUp = await work(page);
		await button(popUp, 'Other').waitFor();
		await popUp.close();
		await page.getByText('refused').waitFor();
		const [next] = await Promise.all([page.waitForEvent('popup'), button(page, 'Save').click()]);
		await Promise.all([page.waitForEvent('load'), button(next, 'Other').click()]);
		await page.waitForFunction(() => window.ask);
		assert.deepEqual(posted(), []);
	}, [other]);
});

test('who closes the pop-up in which to confirm is answered what the rule asks for', async () => {
	const mine = wallet();
	await play(mine, async (page) => {
		await page.route('**/vault', (route) => route.fulfill({
			status: 401, contentType: 'application/problem+json', body: '{"code":"step_up_required","with":["wallet"],"within":1}',
		}));
		const asked = page.evaluate(() => window.ask('/vault').then(({ status, body }) => [status, body.code]));
		const popUp = await page.waitForEvent('popup');
		await popUp.getByRole('heading', { level: 1 }).waitFor();
		await popUp.close();
		assert.deepEqual(await asked, [401, 'step_up_required']);
	});
});

test('an application with an opener policy of its own, to which the pop-up looks closed, waits for it', async () => {
	const mine = wallet();
	await play(mine, async (page) => {
		await page.evaluate(() => {
			const later = window.setTimeout;
			window.setTimeout = (look, after, popUp, ...more) => later(() => {
				look(popUp, ...more);
				window.looked ||= popUp?.closed;
			}, after);
		});
		const popUp = await work(page);
		await page.waitForFunction(() => window.looked);
		assert.equal(await page.getByRole('status').textContent(), '');
		await button(popUp, mine.name).click();
		await page.getByText(mine.account.address).waitFor();
	}, [], { 'Cross-Origin-Opener-Policy': 'same-origin' });
});

test('a request that is aborted waits no longer, and is not repeated; others wait on', async () => {
	const mine = wallet();
	await play(mine, async (page) => {
		await endSession(page);
		gate.seen.length = 0;
		const asked = page.evaluate(() => {
			window.hurry = new AbortController();
			const row = (which, options) => window.ask(`/rows/${which}`, options).then(({ status }) => status, ({ name }) => name);
			return Promise.all([row('aborted', { signal: window.hurry.signal }).then((how) => { window.how = how; return how; }), row('patient')]);
		});
		const popUp = await page.waitForEvent('popup');
		await button(popUp, mine.name).waitFor();
		await page.evaluate(() => { window.hurry.abort(); });
		await page.waitForFunction(() => window.how === 'AbortError');
		await button(popUp, mine.name).click();
		assert.deepEqual(await asked, ['AbortError', 200]);
		assert.deepEqual(gate.seen.map(({ url }) => url), ['/rows/patient']);
	});
});

test('a rule that asks for a fresh sign-in is met in the pop-up', async () => {
	const mine = wallet();
	await play(mine, async (page) => {
		await page.waitForFunction(async () => { // else it was given already
			const { session } = await (await fetch('/auth/session')).json();
			return Date.now() - Date.parse(session.auth_time) > 2500;
		});
		await page.route('**/vault', (route) => route.fulfill({
			status: 401, contentType: 'application/problem+json', body: '{"code":"step_up_required","with":["wallet"],"within":1}',
		}), { times: 1 });
		const asked = page.evaluate(() => window.ask('/vault').then(({ status, body }) => [status, body.url]));
		const popUp = await page.waitForEvent('popup');
		await popUp.waitForURL(({ pathname, searchParams }) => pathname === '/auth/confirm' && searchParams.get('with') === 'wallet');
		await Promise.all([popUp.waitForEvent('close'), button(popUp, mine.name).click()]);
		assert.deepEqual(await asked, [200, '/vault']);
	});
});

test('an answer of the application itself, or of what is refused otherwise, stays what it is', async () => {
	await play(wallet(), async (page) => {
		page.on('popup', () => assert.fail('a pop-up'));
		await page.route('**/own', (route) => route.fulfill({ status: 401, contentType: 'application/json', body: '{"code":"mine"}' }));
		await page.route('**/text', (route) => route.fulfill({ status: 401, body: 'no' }));
		assert.deepEqual(await page.evaluate(() => window.ask('/own')), { status: 401, body: { code: 'mine' } });
		assert.equal(await page.evaluate(async () => (await (await import('/auth/authgate.js')).fetch('/text')).status), 401);
		await page.route('https://other.test/**', (route) => route.fulfill({
			status: 401, headers: { 'Access-Control-Allow-Origin': '*' }, contentType: 'application/problem+json', body: '{"code":"unauthenticated"}',
		}));
		assert.equal(await page.evaluate(() => window.ask('https://other.test/').then(({ status }) => status)), 401, 'of another origin');
		assert.deepEqual(await page.evaluate(async () => (await (await import('/auth/authgate.js')).fetch('/fine', { headers: { Accept: 'text/html' } })).status), 200);
	});
});

test('where the browser opens no pop-up unasked, the next click does', async () => {
	const mine = wallet();
	await play(mine, async (page) => {
		await endSession(page);
		const asked = page.evaluate(() => {
			const really = window.open;
			window.open = () => { window.open = really; return null; };
			return window.ask('/later').then(({ status }) => status);
		});
		await page.waitForFunction(() => window.blocked);
		const [popUp] = await Promise.all([page.waitForEvent('popup'), page.getByLabel('Note').click()]);
		await button(popUp, mine.name).click();
		assert.equal(await asked, 200);
	});
});

test('the module is served to anybody, and is what the README shows', async () => {
	const answer = await fetch(`${gate.origin}/auth/authgate.js`);
	assert.equal(answer.status, 200);
	assert.match(answer.headers.get('content-type'), /^text\/javascript/);
	const [readme, asset] = await Promise.all(['../../README.md', '../../caddymodule/pages/assets/authgate.js']
		.map((file) => readFile(new URL(file, import.meta.url), 'utf8')));
	const shown = [...readme.matchAll(/^```javascript\n(.*?)^```$/gms)].map((m) => m[1]).find((code) => code.includes('BroadcastChannel'));
	assert.equal(shown, asset);
	assert.ok(asset.trimEnd().split('\n').length <= 30);
});
