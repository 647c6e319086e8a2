// What this browser keeps from asking for a mail until its link is opened, perhaps in another tab.

import { store, stored } from './page.js';

// keep notes for whom a mail was asked for. What is kept for registrations proves that they came from this browser: the
// answer is that receipt, the same for all of them.
export function keep(what, { email, returnTo }) {
	const { receipt = random() } = kept(what);
	store('localStorage', what, { receipt, email, returnTo });
	return receipt;
}

export const kept = (what) => stored('localStorage', what) ?? {};

const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

// keyOf answers the key of the link that led to this page. It stands in the fragment, which browsers send to nobody, and
// is taken out of the address at once: it would stay in the history, and go with an address that is copied. This tab keeps
// it, for when the page is loaded anew, until it is dropped.
export function keyOf(what) {
	const key = location.hash.slice(1);
	if (!key) return stored('sessionStorage', what) ?? '';
	history.replaceState(null, '', location.pathname + location.search);
	store('sessionStorage', what, key);
	return key;
}

export const drop = (what) => store('sessionStorage', what, null);

export const forget = (what) => store('localStorage', what, null);
