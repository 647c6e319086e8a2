// Sign-in with a passkey, and accounts that begin with one.

import { common, complain } from './attempts.js';
import { Refusal } from './page.js';
import { forget, inWords, patiently, register, supported } from './webauthn.js';

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
	const suggestions = page.suggest?.(async (begun, credential) => {
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
		await attemptTo(attempt, () => act(attempt, name ? { username: name } : {}), button === signIn);
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

	async function attemptTo(attempt, act, uses) {
		try {
			await act();
		} catch (error) {
			const own = username && ofUsername[error.code];
			const none = uses && create && error?.name === 'NotAllowedError'; // browsers do not say whether there is one
			attempt.fail(...(own ? [] : none ? [page.say('passkeyNoneYet', { button: create.textContent }), ''] : explain(error, page)));
			if (own) {
				complain(username, page.say(own));
				username.focus();
			}
		}
	}
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
