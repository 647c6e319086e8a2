// The page to confirm on: who is signed in proves it anew, with what is asked for, and goes on from where that was. What
// was sent meanwhile is kept by the gateway, and is sent on from here.

import { attempts } from './attempts.js';
import { data, home, leave, say, signOut, store, stored, tabs, tell } from './page.js';

const find = (selector) => document.querySelector(selector);
const resend = find('[data-resend]');
const back = find('[data-back]');

if (resend) sendOn(resend);

// The gateway takes each form once, so that who comes back to this page has sent it. Were it to ask again and again, it is
// the user who sends the next one, and not this page in circles.
function sendOn(form) {
	const { value } = form.elements.authgate_form;
	const before = stored('sessionStorage', 'sent');
	if (before?.form === value) {
		history.back();
		return;
	}
	const now = Date.now();
	store('sessionStorage', 'sent', { form: value, at: now });
	if (now - before?.at < 20_000) return;
	tell(say('done'), 'busy');
	form.submit();
}

const page = attempts(find('main'), {
	prefix: 'step-up/',
	ending: {},
	done() {
		if (!back) return leave(data.returnTo);
		tabs.postMessage('signed-in');
		tell(say('done'), 'good');
		goBack();
	},
});

// goBack leads to the form, as it was left, where there is one in this tab.
function goBack() {
	if (history.length > 1) history.back();
	else location.replace(home(data.returnTo));
}

if (back) {
	back.hidden = false;
	back.addEventListener('click', goBack);
}

for (const button of document.querySelectorAll('[data-sign-out]')) {
	button.addEventListener('click', (event) => signOut(button, event));
}

// Where another tab has confirmed, or signed out, the gateway knows what follows.
if (!resend) tabs.addEventListener('message', () => (back ? location.replace(location.href) : location.replace(home(data.returnTo))));

for (const section of document.querySelectorAll('[data-method]')) {
	const { mount } = await import(`./${section.dataset.method}.js`);
	mount(section, page);
	section.hidden = false;
}
