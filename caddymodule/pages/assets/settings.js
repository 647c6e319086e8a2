// Forms that open where they belong, for one change each.

import { complain } from './attempts.js';
import { change } from './confirm.js';
import { dress, sound, told } from './fields.js';
import { say, tell } from './page.js';

// panel has a button open a form, which is sent by send(attempt) with a fresh sign-in where the gateway wants one. It is
// closed then, and done is told; refused may take care of a refusal: it answers whether it did. back answers what has the
// focus where the button is not there.
export function panel(page, opener, form, send, done, { refused = () => false, back = () => null } = {}) {
	const button = dress(form);
	const first = form.querySelector('input:not([hidden])');
	const open = (on) => {
		form.hidden = !on;
		opener.ariaExpanded = String(on);
		form.reset();
		complain(first);
		if (on) first.focus();
	};
	const close = () => {
		open(false);
		(opener.hidden ? back() : opener)?.focus();
	};
	opener.addEventListener('click', () => open(true));
	form.querySelector('[data-back]').addEventListener('click', close);
	form.addEventListener('keydown', ({ key }) => key === 'Escape' && close());
	form.addEventListener('submit', (event) => {
		event.preventDefault();
		if (document.body.hasAttribute('data-busy') || !sound(form)) return;
		change(first, async () => {
			let answer;
			const attempt = page.begin(button);
			try {
				attempt.step(say('moment'));
				answer = await send(attempt);
			} finally {
				if (!attempt.over) attempt.end();
			}
			close();
			await done(answer);
		}, (error) => {
			const own = refused(error) || told(form, error);
			if (own) tell();
			return own;
		});
	});
	button.disabled = false;
}
