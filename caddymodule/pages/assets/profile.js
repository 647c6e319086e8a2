// The profile: the name, the username and the address are changed in forms of their own, and the roles told.

import { attempts, complain } from './attempts.js';
import { change } from './confirm.js';
import { values } from './fields.js';
import { call, say, tell } from './page.js';
import { panel } from './settings.js';

const main = document.querySelector('main');
const find = (selector) => main.querySelector(selector);
const page = attempts(main, { ending: {}, done() {} });

const ofUsername = {
	invalid_username: 'usernameInvalid',
	username_taken: 'usernameTaken',
};

// edit has a button open the form for a part of the profile.
function edit(part, send, done, refused) {
	const opener = find(`[data-open=${part}]`);
	if (!opener) return;
	panel(page, opener, find(`[data-form=${part}]`), send, done, { refused });
	opener.hidden = false;
}

const input = (part) => find(`[data-form=${part}]`).elements[part];

edit('name', () => call('PATCH', 'profile', { name: input('name').value.trim() }), ({ user: { name } }) => {
	find('[data-now=name]').textContent = name || say('none');
	input('name').defaultValue = name;
	tell(say('nameChanged'), 'good');
});

edit('username', () => call('PATCH', 'profile', { username: input('username').value.trim() }), ({ user: { username } }) => {
	find('[data-now=username]').textContent = username;
	tell(say('usernameChanged', { username }), 'good');
}, ({ code }) => {
	const key = ofUsername[code];
	if (!key) return false;
	complain(input('username'), say(key));
	input('username').focus();
	return true;
});

edit('email', async (attempt) => {
	const fields = values(find('[data-form=email]'));
	await attempt.finish('email/request', fields);
	return fields;
}, ({ email }) => tell(say('emailSent', { email }), 'good'));

const froms = {
	administrator: 'byAdministrator',
	configuration: 'byConfiguration',
	chain: 'byChain',
};

change(main, async () => {
	const { roles } = await call('GET', 'profile');
	const section = find('[data-roles]');
	section.querySelector('ul').replaceChildren(...roles.map(({ role, from }) => {
		const li = document.createElement('li');
		li.className = 'about';
		const [name, why] = [document.createElement('bdi'), document.createElement('small')];
		name.className = 'name';
		name.textContent = role;
		why.textContent = from.map((one) => say(froms[one])).join(' · ');
		li.append(name, why);
		return li;
	}));
	section.querySelector('p').hidden = roles.length > 0;
	section.hidden = false;
});
