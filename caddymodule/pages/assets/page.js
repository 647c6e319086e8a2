// What all pages share: their data and texts, the status line, requests to the gateway.

export const data = JSON.parse(document.getElementById('data').textContent);

// say answers a text with its {places} filled. The result only ever becomes a text node. Where one writes from right to
// left, what fills a place is kept in one piece (FSI and PDI of Unicode).
const [before, after] = document.dir === 'rtl' ? ['\u2068', '\u2069'] : ['', ''];
export function say(key, places = {}) {
	const all = { site: data.site, ...places };
	return (data.text[key] ?? data.text.unexpected).replace(/\{(\w+)\}/g, (place, name) => (all[name] == null ? place : before + all[name] + after));
}

// locales are for dates: the language is that of the page, its habits (the order of a date, the clock) those of the
// reader.
const { lang } = document.documentElement;
export const locales = [...navigator.languages.filter((l) => l === lang || l.startsWith(`${lang}-`)), lang];

// tabs are the pages of the gateway in other tabs, which are told 'signed-in' and 'signed-out'.
export const tabs = new BroadcastChannel('authgate');

// tell puts words in the status line, which screen readers announce; that of a dialog while one is open, since all else
// is out of reach then. Kind is 'busy', 'good', 'bad' or nothing; code is
// shown below the words to be read or copied letter by letter.
export function tell(words = '', kind = '', code = '') {
	const status = document.querySelector('dialog[open] [data-status]') ?? document.querySelector('body > :not(dialog) [data-status]');
	status.dataset.kind = kind;
	const line = document.createElement('p');
	line.textContent = words;
	status.replaceChildren(...(words ? [line] : []));
	if (code) {
		const el = document.createElement('code');
		// A break in the middle leaves no crumb of an address on a line of its own.
		const half = Math.ceil(code.length / 2) + 1;
		el.append(code.slice(0, half), document.createElement('wbr'), code.slice(half));
		status.append(el);
	}
	status.scrollIntoView({ block: 'nearest' });
}

// Refusal is an answer of the gateway other than success. Code is that of the problem body, 'network' where there was no
// answer, or 'unexpected' where it was none of the gateway's.
export class Refusal extends Error {
	constructor(code, response, problem = {}) {
		super(code);
		this.code = code;
		this.status = response?.status ?? 0;
		this.problem = problem;
		this.when = inWords(response?.headers.get('Retry-After'));
	}
}

// call sends JSON to a route of the gateway and answers what came back; null for an answer without a body.
export async function call(method, route, body) {
	let response;
	try {
		response = await fetch(`${data.mount}/${route}`, {
			method,
			headers: body ? { 'Content-Type': 'application/json', Accept: 'application/json' } : { Accept: 'application/json' },
			body: body && JSON.stringify(body),
			signal: AbortSignal.timeout(30_000),
		});
	} catch {
		throw new Refusal('network');
	}
	if (response.status === 204 || response.status === 202) return null;
	let answer;
	try {
		answer = await response.json();
	} catch {
		throw new Refusal(response.status === 503 ? 'unavailable' : 'unexpected', response);
	}
	if (/^invite_/.test(answer?.code)) store('sessionStorage', 'invite', null);
	if (!response.ok) throw new Refusal(answer?.code ?? 'unexpected', response, answer);
	return answer;
}

function inWords(retryAfter) {
	const seconds = Number(retryAfter);
	if (!(seconds > 1)) return say('soon');
	return seconds < 120 ? say('inSeconds', { n: seconds }) : say('inMinutes', { n: Math.ceil(seconds / 60) });
}

// signOut ends the session and goes to the sign-in page, which tells of it (see the fragment) and leads back to where
// this page would.
export async function signOut(button, event) {
	event.preventDefault(); // of the form, which is for browsers without scripts
	if (button.ariaBusy === 'true') return;
	button.ariaBusy = 'true';
	tell(say('signingOut'), 'busy');
	try {
		await call('POST', 'sign-out');
	} catch (refusal) {
		button.ariaBusy = null;
		tell(refusal.code === 'network' ? say('network') : say('signOutFailed', { when: refusal.when }), 'bad');
		return;
	}
	tabs.postMessage('signed-out');
	const query = data.returnTo.length > 1 ? `?return_to=${encodeURIComponent(data.returnTo)}` : '';
	location.replace(`${data.mount}/sign-in${query}#signed-out`);
}

// ended goes to the sign-in page where the session has ended meanwhile; that tells of it, and leads back here.
export function ended() {
	location.replace(`${data.mount}/sign-in?return_to=${encodeURIComponent(location.pathname + location.search)}#signed-out`);
}

// home answers a place on this origin: the one given, else the start page. The gateway has made it safe before; this is
// the last door before the browser goes.
export function home(place) {
	const url = new URL(place || '/', location.origin);
	return url.origin === location.origin ? url.href : '/';
}

// invited is what is sent along with a sign-in in the tab in which an invite was opened. Who has an account does not use it.
export function invited() {
	const invite = stored('sessionStorage', 'invite');
	return invite ? { invite } : {};
}

// leave goes on after a sign-in. The gateway may have opened the session: the page stays busy until it is gone.
export function leave(place) {
	store('sessionStorage', 'invite', null);
	tell(say('done'), 'good');
	tabs.postMessage('signed-in');
	location.replace(home(place));
	if (/[?&]pop-up\b/.test(location.search)) close(); // of authgate.js, which heard it
}

// goOn leaves a page that asks to sign in for a place, when that was done in another tab.
export function goOn() {
	tabs.addEventListener('message', ({ data: word }) => {
		if (word === 'signed-in') location.replace(home(data.returnTo));
	});
}

// store keeps a value in 'localStorage' or 'sessionStorage', which the application shares, or drops it (null); stored
// answers it. A browser may refuse both.
export function store(where, key, value) {
	try {
		if (value === null) window[where].removeItem(`authgate-${key}`);
		else window[where].setItem(`authgate-${key}`, JSON.stringify(value));
	} catch {
		// nothing is kept then
	}
}

export function stored(where, key) {
	try {
		return JSON.parse(window[where].getItem(`authgate-${key}`));
	} catch {
		return null;
	}
}

// A page that the browser kept in memory may tell of a sign-in that is over: ask anew.
addEventListener('pageshow', (event) => {
	if (event.persisted) location.reload();
});
