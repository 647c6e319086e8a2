// Sign-in with e-mail address and password.

import { sends } from './fields.js';
import { store } from './page.js';

export function mount(section, page) {
	const form = section.querySelector('form');
	sends(form, page, 'password/sign-in');
	// Whoever forgot a password, or has no account yet, need not write the address again.
	const { email } = form.elements;
	for (const link of email ? document.querySelectorAll('a[href]') : []) {
		link.addEventListener('click', () => store('sessionStorage', 'email', email.value));
	}
}
