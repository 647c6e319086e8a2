// Passkeys that the browser suggests where one would write a name. Only the page to sign in has them.

import { Refusal, call } from './page.js';
import { ask } from './webauthn.js';

// suggest has the browser suggest its passkeys in the field for the username or the address (autofill). Such a call may wait for hours,
// but a challenge does not: it is renewed after three quarters of its life, unless nobody looks, and then when somebody
// looks again. chosen is given what came, and answers whether it was of no use.
export function suggest(chosen) {
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
