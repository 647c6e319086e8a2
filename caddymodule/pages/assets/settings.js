// The password and the address of the account: set and changed, in forms that open where they belong.

import { complain } from './attempts.js';
import { dress, sound, told, values } from './fields.js';
import { say, tell } from './page.js';

// mount is given what the page of the account has: its attempts, what does a change with a fresh sign-in, and what shows
// the ways to sign in anew.
export function mount(page, change, show) {
	const main = document.querySelector('main');

	panel('[data-email]', '[data-new-email]', 'email/request', async ({ email }) => {
		tell(say('emailSent', { email }), 'good');
	});
	panel('[data-set-password]', '[data-new-password]', 'password/change', async (_, had) => {
		await show();
		tell(say(had ? 'passwordChanged' : 'passwordSet'), 'good');
		main.querySelector('[data-kind=password] [data-rename]')?.focus();
	});

	// panel has a button open a form, which sends its fields to a route.
	function panel(opens, opened, route, done) {
		const [opener, form] = [main.querySelector(opens), main.querySelector(opened)];
		if (!form) return;
		const button = dress(form);
		const first = form.querySelector('[required]');
		const open = (on) => {
			form.hidden = !on;
			opener.ariaExpanded = String(on);
			form.reset();
			complain(first);
			if (on) first.focus();
		};
		const close = () => {
			const had = opener.hidden;
			open(false);
			(had ? main.querySelector('[data-kind=password] [data-rename]') : opener)?.focus();
		};
		opener.addEventListener('click', () => open(true));
		form.querySelector('[data-back]').addEventListener('click', close);
		form.addEventListener('keydown', ({ key }) => key === 'Escape' && close());
		form.addEventListener('submit', (event) => {
			event.preventDefault();
			if (document.body.hasAttribute('data-busy') || !sound(form)) return;
			const fields = values(form);
			change(first, async () => {
				const attempt = page.begin(button);
				try {
					attempt.step(say('moment'));
					await attempt.finish(route, fields);
				} finally {
					if (!attempt.over) attempt.end();
				}
				const had = opener.hidden;
				close();
				await done(fields, had);
			}, (error) => {
				const own = told(form, error);
				if (own) tell();
				return own;
			});
		});
		button.disabled = false;
		opener.hidden = opener.matches('[data-set-password]');
	}
}
