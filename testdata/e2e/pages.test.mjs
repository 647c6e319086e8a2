// The pages as people use them: in Chromium, with a mouse, with the keyboard alone, on a phone, with wallets that are
// good, that decline, that lie, and with none.
//
// AUTHGATE_SCREENSHOTS names a directory for pictures of every page, at both widths and in both colour schemes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hexToString } from 'viem';
import { parseSiweMessage } from 'viem/siwe';
import { emit, icon, wallet } from './browser.mjs';
import { answer, at, look, says, status } from './people.mjs';
import { desktop, phone, stage } from './stage.mjs';

const gate = stage();
const { visit } = gate;

const signInPage = (page, returnTo) =>
	page.goto(`${gate.origin}/auth/sign-in${returnTo ? `?return_to=${encodeURIComponent(returnTo)}` : ''}`);
const choice = (page, name) => page.getByRole('button', { name, exact: true });
const calls = (page) => page.evaluate(() => window.walletCalls);

async function signIn(page, returnTo = '/auth/account', name = 'Good Wallet') {
	await signInPage(page, returnTo);
	await choice(page, name).click();
	await at(page, returnTo);
}

test('a person signs in with a wallet and comes to where they wanted to go', async () => {
	const good = wallet();
	await visit({ wallets: [good] }, async (page) => {
		await page.goto(`${gate.origin}/reports/2026?q=spring&page=2`);
		assert.equal(new URL(page.url()).pathname, '/auth/sign-in');
		assert.match(await page.textContent('main'), /You will be taken to\s+\/reports\/2026\?q=spring&page=2/);
		await choice(page, 'Good Wallet').click();
		await at(page, '/reports/2026?q=spring&page=2');
		await page.goto(`${gate.origin}/auth/account`);
		assert.match(await page.textContent('main'), new RegExp(good.account.address));
	});
});

test('the wallet is asked to connect, then to sign a message that names the site and its own account', async () => {
	const good = wallet({ hangs: ['personal_sign'] });
	await visit({ wallets: [good] }, async (page) => {
		await signInPage(page);
		await choice(page, 'Good Wallet').click();
		await says(page, 'Check the message');
		const asked = await calls(page);
		assert.deepEqual(asked.map((c) => c.method), ['eth_requestAccounts', 'eth_chainId', 'personal_sign']);
		const [message, account] = asked[2].params;
		assert.equal(account, good.account.address);
		const { domain, address } = parseSiweMessage(hexToString(message));
		assert.deepEqual([domain, address], [new URL(gate.origin).host, good.account.address]);
	});
});

test('wallets that give their address in lower case can sign in', async () => {
	const lower = wallet({ lowerCase: true });
	await visit({ wallets: [lower] }, async (page) => {
		await signIn(page);
		assert.match(await page.textContent('main'), new RegExp(lower.account.address));
	});
});

test('a wallet that is only window.ethereum can sign in', async () => {
	await visit({ wallets: [wallet({ injected: true })] }, (page) => signIn(page, '/auth/account', 'Browser wallet'));
});

test('each wallet is listed once, whenever and however often it announces itself', async () => {
	const wallets = [
		wallet({ name: 'First', twice: true }), wallet({ name: 'Second' }), wallet({ name: 'Late', late: 900 }),
		wallet({ name: 'ignored beside the others', injected: true }),
	];
	await visit({ wallets }, async (page) => {
		await signInPage(page);
		await choice(page, 'Late').waitFor();
		assert.deepEqual(await page.getByRole('listitem').allTextContents(), ['First', 'Second', 'Late']);
	});
});

test('a wallet that announces itself late takes the place of window.ethereum', async () => {
	await visit({ wallets: [wallet({ injected: true }), wallet({ name: 'Late', late: 900 })] }, async (page) => {
		await signInPage(page);
		await choice(page, 'Browser wallet').waitFor();
		await choice(page, 'Late').waitFor();
		assert.deepEqual(await page.getByRole('listitem').allTextContents(), ['Late']);
	});
});

// What a wallet says of itself is chosen by whoever wrote it. As HTML it would run in the page that signs people in; an
// icon from elsewhere would tell somebody of every visit; direction overrides would make it look like another one.
test('what a wallet says of itself is text, and fetches nothing', async () => {
	const evil = '<img src=x onerror="document.title=\'owned\'">';
	const script = 'data:image/svg+xml,' + encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg"><script>document.title="owned"</script></svg>');
	const wallets = [
		wallet({ name: evil, icon: 'https://elsewhere.example/icon.png' }),
		wallet({ name: 'Script icon', icon: 'javascript:document.title="owned"' }),
		wallet({ name: 'SVG', icon: script }),
		wallet({ name: 'data but no image', icon: 'data:text/html,<script>alert(1)</script>' }),
		wallet({ name: '\u202Ekcus', icon: '' }),
		wallet({ name: null, icon: null }),
	];
	await visit({ wallets }, async (page) => {
		await signInPage(page);
		await choice(page, evil).waitFor();
		assert.deepEqual(await page.getByRole('listitem').allTextContents(), [evil, 'Script icon', 'SVG', 'data but no image', 'kcus', 'Wallet']);
		assert.deepEqual(await page.locator('li img[src]').evaluateAll((all) => all.map((img) => img.src)), [script]);
		assert.match(await page.title(), /^Sign in/);
	});
});

test('without a wallet the page says what to do', async () => {
	await visit(desktop, async (page) => {
		await signInPage(page, '/reports');
		await page.getByText('No wallet in this browser').waitFor();
		await page.getByText('Install a wallet extension').waitFor();
		assert.equal(await page.getByRole('link', { name: 'Open in MetaMask' }).count(), 0);
	});
	await visit(phone, async (page) => {
		await signInPage(page, '/reports');
		const link = page.getByRole('link', { name: 'Open in MetaMask' });
		await link.waitFor();
		assert.equal(await link.getAttribute('href'), `https://metamask.app.link/dapp/${new URL(gate.origin).host}/auth/sign-in?return_to=%2Freports`);
	});
});

test('without JavaScript the page says that it needs it', async () => {
	await visit({ javaScriptEnabled: false }, async (page) => {
		await signInPage(page);
		assert.match(await page.locator('noscript p').innerText(), /needs JavaScript/);
		assert.equal(await page.getByText('Looking for wallets').isVisible(), false);
	});
});

test('whoever declines is told quietly, has the focus where it was, and can try again', async () => {
	const declining = wallet({ errors: { personal_sign: 4001 } });
	await visit({ wallets: [declining] }, async (page) => {
		await signInPage(page, '/auth/account');
		await choice(page, 'Good Wallet').click();
		await says(page, 'You declined in Good Wallet.');
		assert.equal(await status(page).getAttribute('data-kind'), '');
		assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Good Wallet');
		await page.evaluate((id) => { window.wallets[id].errors = {}; }, declining.uuid);
		await page.keyboard.press('Enter');
		await at(page, '/auth/account');
	});
});

const walletRefusals = [
	['eth_requestAccounts', 4001, 'You declined'],
	['eth_requestAccounts', -32002, 'is still waiting for your answer'],
	['personal_sign', 4100, 'has not given this site access'],
	['personal_sign', 4200, 'cannot sign messages'],
	['eth_chainId', 4900, 'is not connected'],
	['personal_sign', 4901, 'is not connected'],
	['personal_sign', -32603, 'could not finish the request'],
];
test('what a wallet refuses is told in words', async (t) => {
	const moody = wallet();
	await visit({ wallets: [moody] }, async (page) => {
		for (const [method, code, words] of walletRefusals) {
			await t.test(`${code} to ${method}: ${words}`, async () => {
				await signInPage(page);
				await page.evaluate(([id, errors]) => { window.wallets[id].errors = errors; }, [moody.uuid, { [method]: code }]);
				await choice(page, 'Good Wallet').click();
				await says(page, words);
				assert.equal(await page.locator('[aria-busy=true]').count(), 0);
			});
		}
	});
});

test('a wallet without an account', async () => {
	await visit({ wallets: [wallet({ accounts: [] })] }, async (page) => {
		await signInPage(page);
		await choice(page, 'Good Wallet').click();
		await says(page, 'offered no account');
	});
});

const gatewayRefusals = [
	['challenge/sign', 412, 'challenge_expired', {}, 'took a little too long'],
	['challenge/sign', 404, 'challenge_not_found', {}, 'took a little too long'],
	['challenge/sign', 400, 'invalid_message', {}, 'was changed on the way'],
	['challenge/sign', 400, 'invalid_signature', {}, 'does not belong to this account'],
	['challenge/sign', 400, 'invalid_signature', { reason: 'chain_not_checked' }, 'does not check contracts on Ethereum'],
	['challenge/sign', 403, 'account_disabled', {}, 'is disabled'],
	['challenge/sign', 409, 'credential_in_use', {}, 'belongs to another account'],
	['challenge/sign', 503, 'rpc_unavailable', { headers: { 'retry-after': '1' } }, 'is a contract'],
	['challenge/create', 400, 'chain_not_allowed', {}, 'Switch to another network'],
	['challenge/create', 400, 'chain_not_allowed', { chains: [1, 10, 77] }, 'Switch to Ethereum, OP Mainnet or chain 77'],
	['challenge/create', 400, 'chain_not_allowed', { chains: [8453] }, 'Switch to Base'],
	['challenge/create', 429, 'too_many_requests', { headers: { 'retry-after': '42' } }, 'Try again in 42 seconds'],
	['challenge/create', 503, 'unavailable', { headers: { 'retry-after': '300' } }, 'try again in 5 minutes'],
	['challenge/create', 403, 'cross_origin', {}, 'opened under another address'],
	['challenge/create', 404, 'not_found', {}, 'switched off'],
	['challenge/create', 418, 'teapot', {}, 'That did not work'],
];
test('what the gateway refuses is told in words', async (t) => {
	await visit({ wallets: [wallet()], expected: [/status of 4|status of 503/] }, async (page) => {
		for (const [route, code, name, more, words] of gatewayRefusals) {
			await t.test(`${name}: ${words}`, async () => {
				await answer(page, route, code, name, more);
				await signInPage(page);
				await choice(page, 'Good Wallet').click();
				await says(page, words);
				assert.equal(await status(page).getAttribute('data-kind'), 'bad');
				assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Good Wallet');
				assert.equal(await page.getByRole('button', { name: 'Cancel' }).isVisible(), false);
				await page.unroute(`**/auth/${route}`);
			});
		}
	});
});

test('a stranger where registration is closed is told the address to send to whoever runs the site', async () => {
	const good = wallet({ lowerCase: true });
	await visit({ wallets: [good], expected: [/status of 403/] }, async (page) => {
		await answer(page, 'challenge/sign', 403, 'registration_closed');
		await signInPage(page);
		await choice(page, 'Good Wallet').click();
		await says(page, 'This account is not known');
		assert.equal(await status(page).locator('code').textContent(), good.account.address);
	});
});

test('the gateway cannot be reached', async () => {
	await visit({ wallets: [wallet()], expected: [/ERR_FAILED/] }, async (page) => {
		await page.route('**/auth/challenge/create', (route) => route.abort());
		await signInPage(page);
		await choice(page, 'Good Wallet').click();
		await says(page, 'The site cannot be reached');
	});
});

test('what is no answer of the gateway is not taken for one', async () => {
	await visit({ wallets: [wallet()], expected: [/status of 502/] }, async (page) => {
		await page.route('**/auth/challenge/create', (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<b>Bad gateway</b>' }));
		await signInPage(page);
		await choice(page, 'Good Wallet').click();
		await says(page, 'That did not work');
	});
});

// A compromised answer must not lead away from the site, and a script URL must not run in it.
for (const evil of ['https://elsewhere.example/', '//elsewhere.example/', 'javascript:document.title="owned"', 'data:text/html,x', '/\\elsewhere.example']) {
	test(`the page does not go to ${evil}`, async () => {
		await visit({ wallets: [wallet()] }, async (page) => {
			await page.route('**/auth/challenge/sign', (route) => route.fulfill({ json: { user: {}, return_to: evil } }));
			await signInPage(page);
			await page.route((url) => url.pathname === '/', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>Start</title>' }));
			await choice(page, 'Good Wallet').click();
			await at(page, '/');
		});
	});
}

test('a changed account ends the attempt', async () => {
	const other = wallet().account.address;
	for (const [accounts, words] of [[[other], 'was changed on the way'], [[], 'is not connected']]) {
		const good = wallet({ hangs: ['personal_sign'] });
		await visit({ wallets: [good] }, async (page) => {
			await signInPage(page);
			await choice(page, 'Good Wallet').click();
			await says(page, 'Check the message');
			await emit(page, good.uuid, 'accountsChanged', [good.account.address]);
			await says(page, 'Check the message');
			await page.getByRole('button', { name: 'Cancel' }).focus();
			await emit(page, good.uuid, 'accountsChanged', accounts);
			await says(page, words);
			assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Good Wallet', 'the focus went with the button that had it');
		});
	}
});

// Whoever cancels, or begins anew with another wallet, does not expect to be signed in by an answer that comes late.
test('a cancelled attempt signs nobody in, however late the wallet answers', async () => {
	const slow = wallet({ hangs: ['personal_sign'] });
	await visit({ wallets: [slow, wallet({ name: 'Other' })] }, async (page) => {
		const sent = [];
		page.on('request', (request) => sent.push(new URL(request.url()).pathname));
		await signInPage(page);
		await choice(page, 'Good Wallet').click();
		await says(page, 'Check the message in Good Wallet');
		assert.equal(await choice(page, 'Good Wallet').getAttribute('aria-busy'), 'true');
		await choice(page, 'Other').click({ force: true }); // it is marked as disabled
		assert.equal((await calls(page)).length, 3, 'another wallet was asked at the same time');
		await page.getByRole('button', { name: 'Cancel' }).click();
		await says(page, 'Cancelled.');
		assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Good Wallet');
		await page.evaluate((id) => window.wallets[id].release(), slow.uuid);
		await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 300)));
		assert.equal(sent.includes('/auth/challenge/sign'), false);
		assert.match(await status(page).textContent(), /Cancelled/);
	});
});

test('everything works by keyboard alone', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		const focus = () => page.evaluate(() => {
			const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
			return { text: document.activeElement.textContent, visible: outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2 };
		});
		await signInPage(page, '/auth/account');
		await choice(page, 'Good Wallet').waitFor();
		const reach = async (wanted) => {
			const seen = [];
			for (let i = 0; i < 12 && seen.at(-1) !== wanted; i++) {
				await page.keyboard.press('Tab');
				const { text, visible } = await focus();
				assert.ok(visible, `the focus is not to be seen on ${text}`);
				seen.push(text);
			}
			assert.equal(seen.at(-1), wanted, seen.join(', '));
		};
		await reach('Good Wallet');
		await page.keyboard.press('Enter');
		await at(page, '/auth/account');
		await reach('Sign out');
		await page.keyboard.press('Space');
		await says(page, 'You are signed out.');
	});
});

test('signing out ends the session, says so once, and the account asks to sign in', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		await signIn(page);
		await page.getByRole('button', { name: 'Sign out' }).click();
		await says(page, 'You are signed out.');
		assert.equal(page.url(), `${gate.origin}/auth/sign-in`);
		await page.reload();
		await choice(page, 'Good Wallet').waitFor();
		assert.equal(await status(page).textContent(), '');
		await page.goto(`${gate.origin}/auth/account`);
		assert.equal(new URL(page.url()).pathname, '/auth/sign-in');
	});
});

test('a sign-out that fails is told', async () => {
	await visit({ wallets: [wallet()], expected: [/status of 503/] }, async (page) => {
		await signIn(page);
		await answer(page, 'sign-out', 503, 'unavailable', { headers: { 'retry-after': '5' } });
		await page.getByRole('button', { name: 'Sign out' }).click();
		await says(page, 'could not be signed out. Try again in 5 seconds');
	});
});

test('tabs that wait at the sign-in page go on when one of them is signed in, and leave when it is signed out', async () => {
	await visit({ wallets: [wallet()] }, async (page) => {
		const other = await page.context().newPage();
		await other.goto(`${gate.origin}/auth/sign-in?return_to=%2Fauth%2Faccount%3Ftab%3D2`);
		await signIn(page);
		await at(other, '/auth/account?tab=2');
		await page.getByRole('button', { name: 'Sign out' }).click();
		await other.waitForURL((url) => url.pathname === '/auth/sign-in');
	});
});

test('who is signed in and comes to the sign-in page is asked to confirm it with a wallet of the account', async () => {
	const mine = wallet(), stranger = wallet({ name: 'Stranger' });
	await visit({ wallets: [mine, stranger] }, async (page) => {
		await signIn(page);
		await signInPage(page, '/reports');
		await page.getByRole('heading', { name: 'Confirm it is you' }).waitFor();
		await choice(page, 'Stranger').click();
		await says(page, 'This is not a wallet of the account');
		assert.equal((await calls(page)).some((c) => c.method === 'personal_sign'), false);
		await choice(page, 'Good Wallet').click();
		await at(page, '/reports');
	});
});

test('whoever may not open a page learns who they are and can use another account', async () => {
	const good = wallet();
	await visit({ wallets: [good], expected: [/status of 403/] }, async (page) => {
		await signIn(page);
		const response = await page.goto(`${gate.origin}/admin/users?page=2`);
		assert.equal(response.status(), 403);
		const { address } = good.account;
		assert.match(await page.textContent('main'), new RegExp(`signed in as ${address.slice(0, 6)}…${address.slice(-4)}`));
		await page.getByRole('button', { name: 'Use another account' }).click();
		await says(page, 'You are signed out.');
		assert.equal(new URL(page.url()).searchParams.get('return_to'), '/admin/users?page=2');
	});
});

test('the address can be copied', async () => {
	const good = wallet();
	await visit({ wallets: [good], permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
		await signIn(page);
		await page.getByRole('button', { name: `Copy ${good.account.address}` }).click();
		await says(page, 'Copied');
		assert.equal(await page.evaluate(() => navigator.clipboard.readText()), good.account.address);
	});
});

test('nothing moves while a wallet is asked', async () => {
	const declining = wallet({ errors: { personal_sign: 4001 } });
	for (const size of [desktop, phone]) {
		await visit({ ...size, wallets: [declining, wallet({ name: 'Other' })] }, async (page) => {
			await page.addInitScript(() => {
				window.shifts = [];
				new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((e) => e.value)))
					.observe({ type: 'layout-shift', buffered: true });
			});
			await signInPage(page);
			await choice(page, 'Other').waitFor();
			const place = () => choice(page, 'Other').evaluate((el) => {
				const { x, y, width, height } = el.getBoundingClientRect();
				return { x, y: y + scrollY, width, height }; // the page may scroll to what it says
			});
			const before = await place();
			await choice(page, 'Good Wallet').focus();
			await page.evaluate(() => document.activeElement.click()); // no input, which would excuse a shift
			await says(page, 'You declined');
			await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 300)));
			assert.deepEqual(await place(), before);
			assert.ok(await page.evaluate(() => window.shifts.reduce((a, b) => a + b, 0)) < 0.01);
		});
	}
});

// Every page, in every state worth a look, is sound for assistive technology, fits its width and is photographed.
const states = {
	'sign-in': { show: async (page) => { await signInPage(page, '/reports/2026?q=spring'); await choice(page, 'Good Wallet').waitFor(); } },
	'no-wallet': { wallets: () => [], show: async (page) => { await signInPage(page, '/reports'); await page.getByText('No wallet in this browser').waitFor(); } },
	'signing': {
		wallets: () => [wallet({ hangs: ['personal_sign'] }), wallet({ name: 'Other Wallet', icon: icon('3557b8') })],
		show: async (page) => { await signInPage(page); await choice(page, 'Good Wallet').click(); await says(page, 'Check the message'); },
	},
	'not-known': {
		show: async (page) => {
			await answer(page, 'challenge/sign', 403, 'registration_closed');
			await signInPage(page);
			await choice(page, 'Good Wallet').click();
			await says(page, 'This account is not known');
		},
	},
	'account': { show: (page) => signIn(page) },
	'confirm': { show: async (page) => { await signIn(page); await signInPage(page, '/admin/'); } },
	'signed-out': { show: async (page) => { await signIn(page); await page.getByRole('button', { name: 'Sign out' }).click(); await says(page, 'You are signed out.'); } },
	'forbidden': { show: async (page) => { await signIn(page); await page.goto(`${gate.origin}/admin/users`); } },
	'not-found': { show: (page) => page.goto(`${gate.origin}/auth/nothing-here`) },
};
look(states, (device, state, run) => {
	const wallets = state.wallets?.() ?? [wallet(), wallet({ name: 'A wallet whose name is longer than fits on a line', icon: icon('3557b8') })];
	return visit({ ...device, wallets, expected: [/status of 40[34]/] }, async (page) => {
		await state.show(page);
		await run(page);
	});
});
