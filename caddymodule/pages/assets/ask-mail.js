// The pages that ask for a mail: to open an account, and to set a new password. Whatever address was entered, they say
// that a mail is on its way; the mail tells the rest to whom it concerns.

import { attempts } from './attempts.js';
import { sends } from './fields.js';
import { keep } from './mailed.js';
import { data, goOn, invited, leave, store, stored, tell } from './page.js';

const main = document.querySelector('main');
const [ask, sent] = [main.querySelector('[data-ask]'), main.querySelector('[data-sent]')];
const form = main.querySelector('[data-route]');
// A passkey opens an account at once; all else ends here with a mail.
const page = attempts(main, {
	carry: invited(),
	ending: { session: 'cookie', return_to: data.returnTo },
	done: (answer, attempt) => (answer ? leave(answer.return_to) : tellSent(attempt)),
});

function tellSent(attempt) {
	attempt.end();
	tell();
	sent.querySelector('[data-to]').textContent = form.elements.email.value;
	turn(sent, ask).focus();
	scrollTo(0, 0);
}

// turn shows one of the two halves of the page, and answers its heading.
function turn(to, from) {
	from.hidden = true;
	to.hidden = false;
	const heading = to.querySelector('h1');
	document.title = `${heading.textContent} · ${data.site}`;
	return heading;
}

sent.querySelector('[data-again]').addEventListener('click', () => {
	turn(ask, sent);
	form.elements.email.focus();
});

// Whoever opens the link in another tab, or signs in there, goes on here too.
goOn();

if (form) {
	const { email } = form.elements;
	const { route } = form.dataset;
	email.value ||= stored('sessionStorage', 'email') ?? '';
	store('sessionStorage', 'email', null);
	sends(form, page, route, { more: (fields) => ({ receipt: keep(route, { ...fields, returnTo: data.returnTo }) }) });
}

for (const section of main.querySelectorAll('[data-method]')) {
	(await import(`./${section.dataset.method}.js`)).mount(section, page);
}
