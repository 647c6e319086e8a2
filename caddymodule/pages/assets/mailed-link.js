// The pages that mailed links lead to. Opening one changes nothing, as whatever scans mails opens links too; the button
// sends the key.

import { attempts } from './attempts.js';
import { sends } from './fields.js';
import { drop, forget, kept, keyOf } from './mailed.js';
import { data, leave, say, tell } from './page.js';

const main = document.querySelector('main');
const form = main.querySelector('[data-link]');
const { link } = form.dataset;
const instead = main.querySelector('[data-instead]');
const button = form.querySelector('[data-starts]');

const asked = { activate: 'password/register', reset: 'password/forgot' }[link];
const { receipt = '', email = '', returnTo = '' } = asked ? kept(asked) : {};
const key = keyOf(link);
// Another link that is pasted over this page changes no more than the fragment.
addEventListener('hashchange', () => {
	if (keyOf(link) !== key) location.reload();
});

// To know whose password it is helps those who keep passwords.
const { username } = form.elements;
if (username && email) username.value = email;

const page = attempts(main, {
	ending: link === 'email' ? {} : { session: 'cookie', return_to: returnTo },
	done(answer) {
		drop(link);
		if (link === 'email') return location.replace(`${data.mount}/account#emailConfirmed`);
		forget(asked);
		leave(answer.return_to);
	},
});

const ofLink = {
	registration_not_found: 'linkGone',
	registration_expired: 'linkExpired',
	key_not_found: 'linkGone',
	key_expired: 'linkExpired',
	email_taken: 'emailTaken',
};

function refused({ code }) {
	if (code === 'password_required') {
		askPassword();
		return true;
	}
	const words = ofLink[code];
	if (words) over(words);
	return Boolean(words);
}

// askPassword is for who registered in another browser, or did not register at all: the password counts that is given by
// whoever reads the mail.
function askPassword() {
	main.querySelector('[data-elsewhere]').hidden = false;
	main.querySelector('[data-password]').hidden = false;
	const { password } = form.elements;
	password.disabled = false;
	password.focus();
}

// over tells that this link is of no use, and what is.
function over(words) {
	form.hidden = true;
	main.querySelector('.lead').hidden = true;
	if (instead) instead.hidden = false;
	// What follows leads on to where this would have.
	if (returnTo.length > 1) instead?.querySelectorAll('a').forEach((link) => (link.search = new URLSearchParams({ return_to: returnTo })));
	tell(say(words), 'bad');
}

const route = { activate: 'password/activate', reset: 'password/reset', email: 'email/confirm' }[link];
if (!key) over('linkIncomplete');
else if (button) sends(form, page, route, { more: () => (link === 'activate' ? { key, receipt } : { key }), refused });
