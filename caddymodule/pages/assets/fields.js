// Forms that ask for an address or a password: what is wrong is told next to the field, a password can be shown, and Caps
// Lock does not go unnoticed. Pasting is nobody's business but the user's.

import { common, complain } from './attempts.js';
import { say, tell } from './page.js';

// sends has a form send its fields to a route. The page (see attempts) says what comes of it; more answers what is sent
// besides, and refused may take care of a refusal: it answers whether it did.
export function sends(form, page, route, { more = () => ({}), refused = () => false } = {}) {
	const button = dress(form);
	form.addEventListener('submit', async (event) => {
		event.preventDefault();
		if (document.body.hasAttribute('data-busy') || !sound(form)) return;
		const attempt = page.begin(button);
		try {
			attempt.step(say('moment'));
			const fields = values(form);
			await attempt.finish(route, { ...fields, ...more(fields) });
		} catch (error) {
			if (attempt.over) return;
			attempt.fail();
			if (!refused(error) && !told(form, error)) tell(...explain(error));
		}
	});
	button.disabled = false;
}

// dress makes the fields of a form do what is theirs, and answers the button that sends it.
export function dress(form) {
	for (const eye of form.querySelectorAll('.eye')) {
		eye.addEventListener('click', () => show(eye, eye.ariaPressed !== 'true'));
	}
	form.addEventListener('input', ({ target }) => complain(target));
	for (const event of ['keydown', 'keyup', 'mousedown', 'focusout']) {
		form.addEventListener(event, (happened) => {
			const caps = document.getElementById(`${happened.target.id}-caps`);
			// What fills in a form sends keys that know of no others.
			const on = event !== 'focusout' && happened.getModifierState?.('CapsLock');
			if (caps) caps.textContent = on ? say('capsLock') : '';
		});
	}
	return form.querySelector('[data-starts]');
}

function show(eye, on) {
	eye.previousElementSibling.type = on ? 'text' : 'password';
	eye.ariaPressed = String(on);
}

// values are the fields of a form that were filled in.
export function values(form) {
	const { username, ...fields } = Object.fromEntries(new FormData(form)); // the one that is there for password managers
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
}

// sound looks at the fields before they are sent, tells what is wrong with each, and goes to the first. Passwords are hidden
// again, so that the browser does not remember them as it does other text.
export function sound(form) {
	form.querySelectorAll('.eye').forEach((eye) => show(eye, false));
	const wrong = [...form.querySelectorAll('[required]:enabled')].filter((input) => {
		complain(input, fault(input));
		return input.ariaInvalid;
	});
	if (wrong.length) tell();
	wrong[0]?.focus();
	return !wrong.length;
}

function fault({ value, name, validity, minLength }) {
	if (!value) return name === 'email' ? say('emailMissing') : say('passwordMissing');
	if (validity.typeMismatch) return say('emailInvalid');
	// In characters as people count them, as the gateway does.
	return [...value.normalize('NFC')].length < minLength ? say('passwordTooShort', { n: minLength }) : '';
}

// The texts for what the gateway refuses; a text is about the field that its name begins with.
const ofFields = {
	invalid_email: 'emailInvalid',
	registration_closed: 'emailClosed',
	password_required: 'passwordMissing',
	invalid_request: 'nameInvalid',
	too_short: 'passwordTooShort',
	too_long: 'passwordTooLong',
	common: 'passwordCommon',
	site: 'passwordSite',
};

// told tells a refusal next to the field that it is about, where there is one, and answers whether there was.
export function told({ elements }, { code, problem }) {
	const wrong = elements.email ? 'passwordOrEmailWrong' : 'passwordWrong';
	const key = code === 'invalid_credentials' ? wrong : ofFields[code === 'weak_password' ? problem.reason : code];
	const input = key && elements[/^[a-z]+/.exec(key)];
	if (!input) return false;
	complain(input, say(key, { n: input.minLength }));
	input.focus();
	input.select();
	return true;
}

// explain answers words and kind (see tell) for a refusal that is about no field.
export const explain = ({ code, when }) => [say(common[code] ?? 'unexpected', { when }), 'bad'];
