// Passkeys of this browser: asking for them (Web Authentication, level 3), in words and without what older browsers lack.

import { say } from './page.js';

export const supported = 'PublicKeyCredential' in window;

// ask has the browser make ('create') or use ('get') a passkey and answers the credential as JSON for the gateway.
export async function ask(what, options, settings) {
	const creates = what === 'create';
	const parse = PublicKeyCredential[creates ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON'] ?? parsed;
	const credential = await navigator.credentials[what]({ ...settings, publicKey: parse.call(PublicKeyCredential, options) });
	const json = encoded(credential);
	// A secret between the browser and whoever asked for it, which the gateway did not.
	delete json.clientExtensionResults?.prf?.results;
	return json;
}

// patiently asks within an attempt. Where no authenticator answers, and the browser does not end the call either, the
// attempt ends after the time that the gateway gave.
export async function patiently(attempt, what, options) {
	const timer = setTimeout(() => attempt.fail(say('passkeyTimeout')), options.timeout + 5000);
	try {
		return await ask(what, options, { signal: attempt.signal });
	} finally {
		clearTimeout(timer);
		attempt.check();
	}
}

// register makes a passkey: the gateway says for whom, and is given what the browser made.
export async function register(attempt, wanted, named) {
	const { challengeID, creationOptions } = await attempt.post('registration/request', wanted);
	const options = creationOptions.publicKey;
	attempt.step(say('passkeyCreating'));
	const credential = await patiently(attempt, 'create', options);
	attempt.step(say('finishing'));
	try {
		await attempt.finish('registration/response', { challengeID, credential, ...named });
	} catch (error) {
		// Nobody knows the new passkey, so it must not be offered. Where there was no clear answer it may be known.
		if (error.status >= 400 && error.status < 500 && error.code !== 'credential_in_use') forget(options.rp.id, credential.id);
		throw error;
	}
}

// forget has the browser offer a passkey no more that the gateway does not know.
export const forget = (rpId, credentialId) => signal('signalUnknownCredential', { rpId, credentialId });

// signal tells whoever keeps the passkeys, where the browser can. Nobody waits for it, and nothing depends on it.
export function signal(what, about) {
	try {
		PublicKeyCredential[what]?.(about).catch(() => {});
	} catch {
		// what the browser does not take
	}
}

const ofBrowser = {
	AbortError: 'passkeyNone',
	NotAllowedError: 'passkeyNone',
	InvalidStateError: 'passkeyExists',
	SecurityError: 'passkeyWrongSite',
	NotSupportedError: 'passkeyUnsuitable',
	ConstraintError: 'passkeyUnsuitable',
};

// inWords answers the words and the kind (see tell) for what the browser refuses. Whoever cancels is told quietly.
export function inWords(error) {
	const key = ofBrowser[error?.name] ?? 'passkeyFailed';
	return [say(key), key === 'passkeyNone' ? '' : 'bad'];
}

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));

function base64url(buffer) {
	return btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

// parsed is parseCreationOptionsFromJSON and parseRequestOptionsFromJSON where the browser has neither.
function parsed(options) {
	const ids = (list) => list?.map((descriptor) => ({ ...descriptor, id: bytes(descriptor.id) }));
	const { challenge, user, excludeCredentials, allowCredentials } = options;
	return {
		...options,
		challenge: bytes(challenge),
		...(user && { user: { ...user, id: bytes(user.id) }, excludeCredentials: ids(excludeCredentials) }),
		...(allowCredentials && { allowCredentials: ids(allowCredentials) }),
	};
}

// encoded is toJSON, also for the credentials of browsers and password managers that have none, or a broken one.
function encoded(credential) {
	try {
		return credential.toJSON();
	} catch {
		const { id, rawId, type, authenticatorAttachment, response } = credential;
		const members = {};
		for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
			if (response[name]) members[name] = base64url(response[name]);
		}
		if (response.attestationObject) members.transports = response.getTransports?.() ?? [];
		const clientExtensionResults = credential.getClientExtensionResults();
		return { id, rawId: base64url(rawId), type, authenticatorAttachment, clientExtensionResults, response: members };
	}
}
