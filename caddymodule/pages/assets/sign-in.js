// The sign-in page: loads the modules of the methods that are offered and gives each what they share.
//
// A method is a <section data-method='x'> of the page and a module x.js that exports mount(section, page).

import { data, post, say, signOut, tabs, tell } from './page.js';

const cancel = document.querySelector('[data-cancel]');
let attempt = null;

const page = {
	data,
	say,

	// begin starts an attempt, and ends one under way. What it answers carries the words and requests of this attempt and
	// stops them where it is over: a wallet may answer long after its user went on.
	begin(button) {
		attempt?.end();
		const others = [...document.querySelectorAll('[data-method] .choice')].filter((other) => other !== button);
		const mine = {
			get over() {
				return attempt !== mine;
			},
			// step tells what happens now.
			step(words) {
				mine.check();
				tell(words, 'busy');
			},
			// check throws where the attempt is over.
			check() {
				if (mine.over) throw new Over();
			},
			// post sends to a route of the gateway.
			async post(route, body) {
				mine.check();
				const answer = await post(route, body);
				mine.check();
				return answer;
			},
			// finish sends the proof, and leaves for the place that was asked for. From here on there is no cancelling: the
			// gateway may have opened the session. The page stays busy until it is gone.
			async finish(route, proof) {
				cancel.hidden = true;
				const answer = await mine.post(route, { ...proof, session: 'cookie', return_to: data.returnTo });
				tell(say('done'), 'good');
				tabs.postMessage('signed-in');
				location.replace(home(answer.return_to));
			},
			// end gives the page back to the user.
			end() {
				attempt = null;
				cancel.hidden = true;
				button.ariaBusy = null;
				others.forEach((other) => (other.ariaDisabled = null));
				document.body.removeAttribute('data-busy');
			},
			// fail ends the attempt with words of why; the button that began it has the focus, to try again.
			fail(words, kind = 'bad', code = '') {
				if (mine.over) return;
				mine.end();
				tell(words, kind, code);
				button.focus();
			},
		};
		attempt = mine;
		cancel.hidden = false;
		button.ariaBusy = 'true';
		others.forEach((other) => (other.ariaDisabled = 'true'));
		document.body.setAttribute('data-busy', '');
		return mine;
	},
};

class Over extends Error {}

// home answers a place on this origin: the one given, else the start page. The gateway has made it safe before; this is
// the last door before the browser goes.
function home(place) {
	const url = new URL(place || '/', location.origin);
	return url.origin === location.origin ? url.href : '/';
}

// Somebody who signed in in another tab need not do it here. Going on also keeps this page from linking a further wallet
// to that account, as signing in while signed in does.
tabs.addEventListener('message', ({ data: word }) => {
	if (word === 'signed-in') location.replace(home(data.returnTo));
});

cancel.addEventListener('click', () => {
	const button = document.querySelector('[aria-busy=true]');
	attempt?.end();
	tell(say('cancelled'));
	button?.focus();
});

for (const button of document.querySelectorAll('[data-sign-out]')) {
	button.addEventListener('click', () => signOut(button));
}

if (location.hash === '#signed-out') {
	history.replaceState(null, '', location.pathname + location.search);
	tell(say('signedOut'), 'good');
}

for (const section of document.querySelectorAll('[data-method]')) {
	const { mount } = await import(`./${section.dataset.method}.js`);
	mount(section, page);
}
