// Sign-in with a passkey, and accounts that begin with one.

import { common, complain } from './attempts.js';
import { Refusal, call } from './page.js';
import { ask, forget, inWords, patiently, register, signal, supported } from './webauthn.js';

export function mount(section, page) {
	const form = section.querySelector('form');
	if (!supported) {
		form.hidden = true;
		section.querySelector('[data-unsupported]').hidden = false;
		return;
	}
	const create = form.querySelector('[data-create]');
	const signIn = form.querySelector('[data-starts]:not([data-create])');
	const { username } = form.elements;

	// The suggestions of a field are those of a call that waits. It must be over before another one begins.
	const suggestions = document.querySelector('[autocomplete~=webauthn]') && suggest(async (begun, credential) => {
		const attempt = page.begin(signIn);
		await attemptTo(attempt, () => answer(attempt, begun, credential));
		return attempt.over;
	});

	const use = () => start(signIn, async (attempt, wanted) => {
		attempt.step(page.say('moment'));
		const begun = await attempt.post('authentication/request', wanted);
		attempt.step(page.say('passkeyUsing'));
		await answer(attempt, begun, await patiently(attempt, 'get', begun.requestOptions.publicKey));
	});
	const make = () => start(create, (attempt, wanted) => {
		attempt.step(page.say('moment'));
		return register(attempt, wanted);
	});
	form.addEventListener('submit', (event) => {
		event.preventDefault();
		signIn ? use() : make();
	});
	if (signIn) create?.addEventListener('click', make);
	username?.addEventListener('input', () => complain(username));
	// Until here nothing could be sent, which the browser would do in its own way.
	for (const button of form.querySelectorAll('[data-starts]')) button.disabled = false;

	async function start(button, act) {
		if (document.body.hasAttribute('data-busy')) return;
		const name = username?.value.trim();
		if (username) complain(username);
		suggestions?.stop();
		const attempt = page.begin(button);
		await attemptTo(attempt, () => act(attempt, name ? { username: name } : {}));
		if (attempt.over) suggestions?.start();
	}

	async function answer(attempt, { challengeID, requestOptions }, credential) {
		attempt.step(page.say('finishing'));
		try {
			await attempt.finish('authentication/response', { challengeID, credential });
		} catch (error) {
			if (error.problem?.signal === 'unknownCredential') forget(requestOptions.publicKey.rpId, credential.id);
			throw error;
		}
	}

	async function attemptTo(attempt, act) {
		try {
			await act();
		} catch (error) {
			const own = username && ofUsername[error.code];
			attempt.fail(...(own ? [] : explain(error, page)));
			if (own) {
				complain(username, page.say(own));
				username.focus();
			}
		}
	}
}

// suggest has the browser suggest its passkeys in the field for the username or the address (autofill). Such a call may wait for hours,
// but a challenge does not: it is renewed after three quarters of its life, unless nobody looks, and then when somebody
// looks again. chosen is given what came, and answers whether it was of no use.
function suggest(chosen) {
	let waiting = null;
	const stop = () => {
		clearTimeout(waiting?.timer);
		waiting?.abort.abort();
		waiting = null;
	};
	const start = async () => {
		if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
		stop();
		const mine = (waiting = { abort: new AbortController(), began: Date.now(), until: Date.now() + 30_000 });
		try {
			const begun = await call('POST', 'authentication/request', {});
			if (waiting !== mine) return;
			const options = begun.requestOptions.publicKey;
			mine.until = mine.began + options.timeout * 0.75;
			mine.timer = setTimeout(renew, options.timeout * 0.75);
			const credential = await ask('get', options, { mediation: 'conditional', signal: mine.abort.signal });
			if (waiting !== mine) return;
			if (!(await chosen(begun, credential))) return;
		} catch (error) {
			// The gateway cannot say what to suggest, or somebody waits no more; the button is there in any case.
			if (error instanceof Refusal || error.name === 'AbortError') return;
		}
		// Not in a circle, where the browser refuses at once.
		if (waiting === mine && Date.now() - mine.began > 1000) start();
	};
	const renew = () => {
		if (waiting && !document.hidden && Date.now() >= waiting.until - 1000) start();
	};
	document.addEventListener('visibilitychange', renew);
	start();
	return { start, stop };
}

const ofUsername = {
	invalid_username: 'usernameInvalid',
	username_taken: 'usernameTaken',
};
const ofGateway = {
	...common,
	challenge_expired: 'passkeyTimeout',
	challenge_not_found: 'passkeyTimeout',
	invalid_assertion: 'passkeyRefused',
	invalid_attestation: 'passkeyUnsuitable',
	registration_closed: 'passkeyClosed',
	credential_in_use: 'passkeyExists',
};

// explain answers words and kind (see tell) for whatever went wrong.
export function explain(error, { say }) {
	if (!(error instanceof Refusal)) return inWords(error);
	if (error.problem?.signal === 'unknownCredential') return [say('passkeyUnknown'), 'bad'];
	return [say(ofGateway[error.code] ?? 'unexpected', { when: error.when }), 'bad'];
}
