// A real browser for the tests of the pages, and wallets to put into it: EIP-1193 providers that sign with keys of this
// process, announced by EIP-6963 or set as window.ethereum.
//
// AUTHGATE_SLOW is by how many milliseconds pages, scripts and answers of the gateway are late: tests that do not wait for
// what they need fail with it. Try 500.
import { setTimeout as delay } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { privateKeyToAccount, generatePrivateKey } from 'viem/accounts';

const slow = Number(process.env.AUTHGATE_SLOW);

// launch starts Debian's Chromium (or that of CHROMIUM). The switches keep it from calling home; more may be added.
export function launch(...more) {
	return chromium.launch({
		executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
			'--disable-component-update', '--disable-sync', ...more],
	});
}

// wallet describes one to put into a page. Options:
//   name, icon, uuid   what it says of itself
//   account            a viem account; default: a new one
//   injected           window.ethereum instead of an announcement
//   late               milliseconds until it announces itself
//   twice              announces itself twice
//   lowerCase          gives its address without checksum
//   errors             { method: code } refused with this code
//   hangs              methods that are not answered before the page calls window.wallets[uuid].release()
export function wallet(options = {}) {
	const account = options.account ?? privateKeyToAccount(generatePrivateKey());
	return { name: 'Good Wallet', uuid: crypto.randomUUID(), icon: icon('2f8a63'), chainId: '0x1', errors: {}, hangs: [], ...options, account };
}

export function icon(color) {
	return 'data:image/svg+xml,' + encodeURIComponent(
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#${color}"/><circle cx="16" cy="16" r="7" fill="#fff"/></svg>`);
}

// open answers a page of its own context, with these wallets, for one origin or several; popUps puts them into windows that it opens, too. page.faults collects what must not happen: errors and
// warnings on the console, exceptions, requests to other origins. What a test provokes itself it names in `expected`.
export async function open(browser, origin, { wallets = [], expected = [], popUps = false, ...context } = {}) {
	const own = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...context });
	if (slow) {
		await own.route('**/auth/**', (route) => delay(slow).then(() => route.fallback()));
	}
	const page = await own.newPage();
	page.faults = [];
	const fault = (text) => {
		if (!expected.some((pattern) => pattern.test(text))) {
			page.faults.push(text);
		}
	};
	page.on('console', (message) => {
		if (['error', 'warning'].includes(message.type())) {
			fault(`console: ${message.text()}`);
		}
	});
	page.on('pageerror', (error) => fault(`exception: ${error.message}`));
	page.on('request', (request) => {
		const url = new URL(request.url());
		if (url.protocol !== 'data:' && ![origin].flat().includes(url.origin)) {
			fault(`request: ${request.url()}`);
		}
	});
	const into = popUps ? own : page;
	await into.exposeFunction('signAsWallet', (uuid, raw) => wallets.find((w) => w.uuid === uuid).account.signMessage({ message: { raw } }));
	await into.addInitScript(install, wallets.map(({ account, ...w }) => ({
		...w, address: w.lowerCase ? account.address.toLowerCase() : account.address,
	})));
	return page;
}

// install runs in the page, before its scripts.
function install(wallets) {
	window.walletCalls = [];
	window.wallets = {}; // by uuid: the options, which a test may change, and the listeners by event
	for (const w of wallets) {
		const listeners = {};
		window.wallets[w.uuid] = Object.assign(w, { listeners });
		const provider = {
			async request({ method, params }) {
				window.walletCalls.push({ wallet: w.name, method, params });
				if (w.hangs.includes(method)) {
					await new Promise((resolve) => { w.release = resolve; });
				}
				if (method in w.errors) {
					throw Object.assign(new Error('refused by the wallet'), { code: w.errors[method] });
				}
				switch (method) {
					case 'eth_requestAccounts': return w.accounts ?? [w.address];
					case 'eth_chainId': return w.chainId;
					case 'personal_sign': return window.signAsWallet(w.uuid, params[0]);
				}
				throw Object.assign(new Error('no such method'), { code: 4200 });
			},
			on(event, listener) { (listeners[event] ??= new Set()).add(listener); },
			removeListener(event, listener) { listeners[event]?.delete(listener); },
		};
		if (w.injected) {
			window.ethereum = provider;
			continue;
		}
		const announce = () => window.dispatchEvent(new CustomEvent('eip6963:announceProvider', {
			detail: Object.freeze({ info: { uuid: w.uuid, name: w.name, icon: w.icon, rdns: 'test.wallet' }, provider }),
		}));
		window.addEventListener('eip6963:requestProvider', () => {
			if (w.late) {
				setTimeout(announce, w.late);
				return;
			}
			announce();
			if (w.twice) {
				announce();
			}
		});
	}
}

// authenticator attaches one to a page, which keeps it across navigations. Kinds:
//   internal   of the device: keeps passkeys, checks who it is
//   synced     the same, of a provider that copies passkeys to other devices
//   usb        a security key that keeps passkeys and checks who it is
//   noUV       a security key that checks nobody
//   u2f        an old security key, which keeps nothing
// It is touched at once when it is asked, unless presence is false; touch(true) touches it then.
export async function authenticator(page, kind = 'internal', options = {}) {
	const internal = {
		protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
		isUserVerified: true, automaticPresenceSimulation: true,
	};
	const kinds = {
		internal,
		synced: { ...internal, defaultBackupEligibility: true, defaultBackupState: true },
		usb: { ...internal, transport: 'usb' },
		noUV: { ...internal, transport: 'usb', hasUserVerification: false, isUserVerified: false },
		u2f: { protocol: 'u2f', transport: 'usb', automaticPresenceSimulation: true },
	};
	const { presence = true, ...more } = options;
	const devtools = await page.context().newCDPSession(page);
	await devtools.send('WebAuthn.enable', { enableUI: false });
	const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
		options: { ...kinds[kind], ...more, automaticPresenceSimulation: presence },
	});
	const send = (method, args) => devtools.send(`WebAuthn.${method}`, { authenticatorId, ...args });
	return {
		credentials: async () => (await send('getCredentials')).credentials,
		add: (credential) => send('addCredential', { credential }),
		set: (credentialId, properties) => send('setCredentialProperties', { credentialId, ...properties }),
		remove: (credentialId) => send('removeCredential', { credentialId }),
		clear: () => send('clearCredentials'),
		touch: (enabled) => send('setAutomaticPresenceSimulation', { enabled }),
		verify: (isUserVerified) => send('setUserVerified', { isUserVerified }),
		lie: (bits) => send('setResponseOverrideBits', bits),
		detach: () => send('removeVirtualAuthenticator'),
	};
}

// emit has a wallet of the page send an event to whoever listens.
export function emit(page, uuid, event, value) {
	return page.evaluate(([id, name, v]) => {
		for (const listener of window.wallets[id].listeners[name] ?? []) {
			listener(v);
		}
	}, [uuid, event, value]);
}
