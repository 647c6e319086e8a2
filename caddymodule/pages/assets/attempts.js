// What the methods share: attempts to prove who one is, one at a time.

import { call, data, say, tell } from './page.js';

class Over extends Error {
	code = 'over';
}

// attempts answers the page that the modules of the methods are mounted with: mount(section, page). root holds their
// sections and the button to cancel. A purpose says what proofs are for:
//   prefix         of the routes, 'step-up/' or nothing
//   ending         what is sent along with a proof
//   carry          what is sent along with all that is posted
//   done           is given the answer to a proof that was accepted; the page stays busy until it has ended
//   confirmFirst   ends an attempt that the gateway refuses until its user has stepped up
export function attempts(root, purpose) {
	const cancel = root.querySelector('[data-cancel]');
	let attempt = null;

	cancel.addEventListener('click', () => {
		const button = root.querySelector('[aria-busy=true]');
		attempt?.end();
		tell(say('cancelled'));
		button?.focus();
	});

	return {
		data,
		say,
		purpose,

		// begin starts an attempt, and ends one under way. What it answers carries the words and requests of this attempt
		// and stops them where it is over: a wallet may answer long after its user went on.
		begin(button) {
			attempt?.end();
			const { prefix = '', carry, ending, done, confirmFirst } = this.purpose;
			// Read each time: a wallet may announce itself while an attempt is under way.
			const others = () => [...root.querySelectorAll('[data-starts]')].filter((other) => other !== button);
			const stop = new AbortController();
			const mine = {
				confirms: prefix === 'step-up/',
				// signal is aborted when the attempt is over.
				signal: stop.signal,
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
					const answer = await call('POST', prefix + route, { ...body, ...carry });
					mine.check();
					return answer;
				},
				// finish sends the proof. From here on there is no cancelling: the gateway may have accepted it.
				async finish(route, proof) {
					cancel.hidden = true;
					const answer = await mine.post(route, { ...proof, ...ending });
					await done(answer, mine);
				},
				confirmFirst() {
					if (mine.over || !confirmFirst) return;
					mine.end();
					confirmFirst();
				},
				// end gives the page back to the user.
				end() {
					attempt = null;
					stop.abort();
					cancel.hidden = true;
					button.ariaBusy = null;
					others().forEach((other) => (other.ariaDisabled = null));
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
			others().forEach((other) => (other.ariaDisabled = 'true'));
			document.body.setAttribute('data-busy', '');
			return mine;
		},

		// end ends the attempt under way, if there is one.
		end() {
			attempt?.end();
		},
	};
}

// complain tells what is wrong with a field, next to it; without words, that nothing is.
export function complain(input, words = '') {
	const problem = document.getElementById(`${input.id}-problem`);
	if (!problem) return;
	problem.textContent = words;
	problem.hidden = !words;
	input.ariaInvalid = words ? 'true' : null;
}

// common are the texts for what the gateway may refuse at every method, by the codes of its problem bodies.
export const common = {
	account_disabled: 'accountDisabled',
	too_many_requests: 'rateLimited',
	unavailable: 'unavailable',
	cross_origin: 'crossOrigin',
	not_found: 'methodOff',
	invite_not_found: 'inviteGone',
	invite_expired: 'inviteExpired',
	network: 'network',
};
