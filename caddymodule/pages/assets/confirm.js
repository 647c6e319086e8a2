// Changes to an account. The gateway asks for a fresh sign-in before it makes one; then the user confirms in a dialog (the
// template "proof"), and what was asked for goes on.

import { attempts } from './attempts.js';
import { explain } from './passkey.js';
import { Refusal, call, ended, say, tell } from './page.js';

// own is what the user has to confirm with; a page that knows it already says so.
export const own = { credentials: null };

// change does what was asked for, after a fresh sign-in where the gateway wants one. Where it comes to nothing the focus
// is where it began, told may tell of a refusal in its own way (it answers whether it did), and else words do.
export async function change(origin, act, told = () => false) {
	try {
		await confirmed(act);
	} catch (error) {
		if (error.code === 'unauthenticated') return ended();
		if (told(error)) return;
		if (error.code !== 'over') tell(...words(error));
		origin.focus();
	}
}

async function confirmed(act) {
	try {
		return await act();
	} catch (error) {
		if (error.code !== 'step_up_required') throw error;
	}
	await prove();
	return act();
}

const ofGateway = {
	last_credential: 'lastOne',
	email_required: 'emailRequired',
	credential_not_found: 'gone',
	invalid_request: 'nameRefused',
	not_confirmed: 'notConfirmed',
};

function words(error) {
	const key = ofGateway[error.code];
	return key ? [say(key), key === 'notConfirmed' ? '' : 'bad'] : explain(error, { say });
}

// prove opens the dialog in which the user confirms who they are, or adds a wallet, and answers when that is done.
const dialog = document.querySelector('[data-proof]');
const proof = attempts(dialog, {});

export async function prove(adding = false) {
	dialog.querySelector('h2').textContent = say(adding ? 'chooseWallet' : 'confirmFirst');
	dialog.querySelector('[data-why]').hidden = adding;
	own.credentials ??= (await call('GET', 'credentials')).credentials;
	for (const part of dialog.querySelectorAll('[data-method]')) {
		const { method } = part.dataset;
		part.hidden = adding ? method !== 'wallet' : !own.credentials.some(({ kind }) => kind === method);
		if (part.hidden || 'mounted' in part.dataset) continue;
		part.dataset.mounted = '';
		const { mount } = await import(`./${method}.js`);
		mount(part, proof);
	}
	await new Promise((resolve, reject) => {
		let refused = new Refusal('not_confirmed');
		proof.purpose = {
			prefix: adding ? '' : 'step-up/',
			ending: adding ? { session: 'cookie' } : {},
			done() {
				refused = null;
				dialog.close();
			},
			confirmFirst() {
				refused = new Refusal('step_up_required');
				dialog.close();
			},
		};
		// By whatever the dialog is closed.
		dialog.addEventListener('close', () => {
			proof.end();
			refused ? reject(refused) : resolve();
		}, { once: true });
		tell();
		dialog.showModal();
		tell();
	});
}
