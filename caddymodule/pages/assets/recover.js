// The page that a recovery link leads to: whoever has it adds a way to sign in to the account that it is for. Opening it
// spends nothing; the key goes along with what is added, and is spent by that.

import { attempts } from './attempts.js';
import { sends } from './fields.js';
import { drop, keyOf } from './mailed.js';
import { call, leave, locales, say, tell } from './page.js';

const main = document.querySelector('main');
const key = keyOf('recover');
// Another link that is pasted over this page changes no more than the fragment.
addEventListener('hashchange', () => location.reload());

const page = attempts(main, {
	prefix: 'recover/',
	carry: { key },
	ending: { session: 'cookie' },
	done(answer) {
		drop('recover');
		leave(answer.return_to);
	},
});

async function open() {
	const { username, name, email, methods, expires } = await call('POST', 'recover/check', { key });
	const whose = main.querySelector('[data-for]');
	whose.textContent = say('for', { who: name || email || username });
	whose.hidden = false;
	const until = new Intl.DateTimeFormat(locales, { dateStyle: 'long', timeStyle: 'short' }).format(new Date(expires));
	main.querySelector('[data-until]').textContent = say('until', { time: until });
	for (const section of main.querySelectorAll('[data-method]')) {
		const { method } = section.dataset;
		section.hidden = !methods.includes(method);
		if (section.hidden) continue;
		if (method !== 'password') {
			(await import(`./${method}.js`)).mount(section, page);
			continue;
		}
		const form = section.querySelector('form');
		form.elements.username.value = email;
		sends(form, page, 'password');
	}
	main.querySelector('[data-open]').hidden = false;
}

if (!key) tell(say('linkIncomplete'), 'bad');
else {
	open().catch(({ code, when }) => {
		const words = {
			key_not_found: 'linkGone', key_expired: 'linkExpired', account_disabled: 'accountDisabled',
			too_many_requests: 'rateLimited', unavailable: 'unavailable', network: 'network',
		};
		tell(say(words[code] ?? 'unexpected', { when }), 'bad');
	});
}
