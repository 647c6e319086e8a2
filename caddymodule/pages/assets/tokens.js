// Personal access tokens: made, shown once, listed and deleted.

import { ask } from './ask.js';
import { attempts, complain } from './attempts.js';
import { change } from './confirm.js';
import { call, locales, say, tell } from './page.js';
import { panel } from './settings.js';

const main = document.querySelector('main');
const find = (selector) => main.querySelector(selector);
const page = attempts(main, { ending: {}, done() {} });
const section = find('[data-tokens]');
const list = section.querySelector('ul');
const template = section.querySelector('template');
const opener = find('[data-open]');
const form = find('[data-form]');
const { name: nameField, expires: goodFor, paths: pathsField } = form.elements;
const made = find('[data-made]');
const text = find('[data-token]');
const day = (time) => new Date(time).toLocaleDateString(locales, { dateStyle: 'medium' });
// A path is written from left to right in every language (LRI and PDI of Unicode).
const upright = (path) => `\u2066${path}\u2069`;

async function show() {
	const { tokens } = await call('GET', 'tokens');
	list.replaceChildren(...tokens.reverse().map(item));
	section.querySelector('[data-none]').hidden = tokens.length > 0;
	section.hidden = false;
}

function item({ id, name, created, expires, last_used: used, roles, paths }) {
	const li = template.content.cloneNode(true).firstElementChild;
	const fill = (selector, words) => (li.querySelector(selector).textContent = words.join(' · '));
	fill('.name', [name]);
	fill('[data-what]', [
		roles ? say(roles.length ? 'ofRoles' : 'noRoles', { roles: roles.join(', ') }) : say('allRoles'),
		paths ? paths.map(upright).join(' ') : say('everywhere'),
	]);
	fill('[data-when]', [
		say('madeOn', { date: day(created) }),
		expires ? say(Date.parse(expires) > Date.now() ? 'expires' : 'expired', { date: day(expires) }) : say('noEnd'),
		used ? say('used', { date: day(used) }) : say('neverUsed'),
	]);
	const button = li.querySelector('[data-delete]');
	button.ariaLabel = say('deleteWhat', { name });
	button.addEventListener('click', async () => {
		if (!(await really(name))) return button.focus();
		change(button, async () => {
			try {
				await call('DELETE', `tokens/${id}`);
			} catch (error) {
				if (error.code !== 'token_not_found') throw error;
			}
			conceal();
			await show();
			tell(say('deleted', { name }), 'good');
			section.querySelector('h2').focus();
		});
	});
	return li;
}

const dialog = document.querySelector('[data-removal]');

function really(name) {
	dialog.querySelector('h2').textContent = say('deleteReally', { name });
	return ask(dialog);
}

// What the form says; all roles means those that come later, too.
function wanted() {
	const boxes = [...form.querySelectorAll('[name=roles]')];
	const roles = boxes.filter(({ checked }) => checked).map(({ value }) => value);
	const paths = pathsField.value.split(/\s+/).filter(Boolean);
	return {
		name: nameField.value.trim(),
		...(goodFor.value && { expires_in: goodFor.value * 86_400 }),
		...(roles.length < boxes.length && { roles }),
		...(paths.length > 0 && { paths }),
	};
}

function conceal() {
	made.hidden = true;
	text.textContent = '';
}

panel(page, opener, form, (attempt) => {
	conceal();
	return attempt.post('tokens', wanted());
}, async ({ token }) => {
	text.textContent = token;
	made.hidden = false;
	tell();
	made.querySelector('h2').focus();
	await show();
}, {
	refused({ code, problem }) {
		const refusals = { too_many_tokens: 'tooMany', invalid_request: 'nameNeeded', invalid_token: 'nameNeeded' };
		if (!refusals[code]) return false;
		const aboutPaths = problem.reason === 'paths';
		const field = aboutPaths ? pathsField : nameField;
		complain(field, say(aboutPaths ? 'pathsRefused' : refusals[code]));
		field.focus();
		return true;
	},
});
opener.hidden = false;

// The clipboard is there in secure contexts only.
const copy = made.querySelector('[data-copy]');
copy.hidden = !navigator.clipboard;
copy.addEventListener('click', async () => {
	try {
		await navigator.clipboard.writeText(text.textContent);
		tell(say('tokenCopied'), 'good');
	} catch {
		getSelection().selectAllChildren(text);
	}
});

change(opener, show);
