// What one signs in with: listed, named, added, removed.

import { ask } from './ask.js';
import { attempts } from './attempts.js';
import { change, own, prove } from './confirm.js';
import { call, data, locales, say, store, stored, tell } from './page.js';
import { register, signal, supported } from './webauthn.js';

const section = document.querySelector('[data-ways]');
const list = section.querySelector('ul');
const template = section.querySelector('template');
const page = attempts(document.querySelector('main'), { ending: { session: 'cookie' }, done() {} });
const nudge = section.querySelector('[data-nudge]');
const setPassword = section.querySelector('[data-set-password]');
let credentials = [];

const day = (time) => new Date(time).toLocaleDateString(locales, { dateStyle: 'medium' });
const short = (address) => `${address.slice(0, 6)}…${address.slice(-4)}`;
const walletOf = ({ wallet = '' }) => wallet.split(':').at(-1);
const nameOf = (c) => c.name || (c.kind === 'wallet' ? short(walletOf(c)) : c.key ? shortKey(c.key) : c.provider || say(c.kind));
const shortKey = (key) => key.replace(/:(.{4}).*(.{4})$/, ' $1…$2');

// show lists what the gateway knows, and tells the browser of it.
async function show() {
	const answer = await call('GET', 'credentials');
	credentials = own.credentials = answer.credentials;
	list.replaceChildren(...credentials.map(item));
	const [only, another] = credentials;
	nudge.hidden = another || stored('localStorage', `nudged-${data.user}`);
	nudge.querySelector('p').textContent = say(only?.kind === 'passkey' && !only.synced ? 'nudge' : 'nudgeOne');
	section.hidden = false;
	if (setPassword) setPassword.hidden = credentials.some(({ kind }) => kind === 'password');
	// Whoever keeps passkeys drops those that are not in this list: it must be complete, and is only sent as it came.
	const { signals } = answer;
	if (!signals) return;
	const { rpId, userId, allAcceptedCredentialIds, name, displayName } = signals;
	signal('signalAllAcceptedCredentials', { rpId, userId, allAcceptedCredentialIds });
	signal('signalCurrentUserDetails', { rpId, userId, name, displayName });
}

function item(credential) {
	const { id, kind, created, last_used: used, synced, provider } = credential;
	const name = nameOf(credential);
	const li = template.content.cloneNode(true).firstElementChild;
	const find = (selector) => li.querySelector(selector);
	const [rename, remove, form] = [find('[data-rename]'), find('[data-remove]'), find('form')];
	const input = form.elements.name;
	li.dataset.id = id;
	li.dataset.kind = kind;
	find('.name').textContent = name;
	const what = [say(kind), kind === 'passkey' && provider, kind === 'passkey' && say(synced ? 'synced' : 'oneDevice')];
	const [, chain] = /^eip155:(\d+):/.exec(credential.wallet) ?? [];
	if (kind === 'key') what.push(shortKey(credential.key));
	if (kind === 'wallet') what.push(short(walletOf(credential)), chain && say('contract', { chain }));
	find('[data-what]').textContent = what.filter((word) => word && word !== name).join(' · ');
	find('[data-when]').textContent = `${say('added', { date: day(created) })} · ${used ? say('used', { date: day(used) }) : say('neverUsed')}`;
	rename.ariaLabel = say('renameWhat', { name });
	remove.ariaLabel = say('removeWhat', { name });

	const edit = (on) => {
		form.hidden = !on;
		find('.deeds').hidden = on;
		input.value = credential.name;
		if (on) input.select();
		else rename.focus();
	};
	if (kind === 'password') {
		rename.hidden = !setPassword;
		rename.textContent = say('change');
		rename.ariaLabel = say('changePassword');
	}
	rename.addEventListener('click', () => (kind === 'password' ? setPassword.click() : edit(true)));
	find('[data-back]').addEventListener('click', () => edit(false));
	form.addEventListener('keydown', ({ key }) => key === 'Escape' && edit(false));
	form.addEventListener('submit', (event) => {
		event.preventDefault();
		const wanted = input.value.trim();
		change(input, async () => {
			await call('PATCH', `credentials/${id}`, { name: wanted });
			await show();
			tell(say('renamed', { name: nameOf({ ...credential, name: wanted }) }), 'good');
			list.querySelector(`[data-id="${id}"] [data-rename]`)?.focus();
		});
	});
	remove.addEventListener('click', async () => {
		if (credentials.length === 1) return tell(say('lastOne'));
		if (!(await really(name))) return remove.focus();
		change(remove, async () => {
			await call('DELETE', `credentials/${id}`);
			if (kind === 'wallet') return anew('walletRemoved');
			await show();
			tell(say('removed', { name }), 'good');
			list.querySelector('[data-remove]')?.focus();
		});
	});
	return li;
}

// anew loads the page again, which names the wallets in other places too, and tells there what was done.
function anew(word) {
	location.hash = word;
	location.reload();
}

const dialog = document.querySelector('[data-removal]');

function really(name) {
	dialog.querySelector('h2').textContent = say('removeReally', { name });
	dialog.querySelector('[data-means]').textContent = say('removeMeans');
	return ask(dialog);
}

const adder = section.querySelector('[data-add-passkey]');
if (adder) {
	adder.hidden = !supported;
	const button = adder.querySelector('button');
	const make = async () => {
		const name = adder.elements.name.value.trim();
		const attempt = page.begin(button);
		try {
			attempt.step(say('moment'));
			await register(attempt, {}, name && { name });
		} finally {
			if (!attempt.over) attempt.end();
		}
		adder.reset();
		await show();
		tell(say('passkeyAdded'), 'good');
	};
	adder.addEventListener('submit', (event) => {
		event.preventDefault();
		if (!document.body.hasAttribute('data-busy')) change(button, make);
	});
}

const addWallet = section.querySelector('[data-add-wallet]');
addWallet?.addEventListener('click', () => change(addWallet, async () => {
	await prove(true);
	anew('walletAdded');
}));

const done = location.hash.slice(1);
if (['walletAdded', 'walletRemoved', 'emailConfirmed'].includes(done)) {
	history.replaceState(null, '', location.pathname + location.search);
	tell(say(done), 'good');
}

if (setPassword) {
	const [{ panel }, { values }] = await Promise.all([import('./settings.js'), import('./fields.js')]);
	const form = section.querySelector('[data-new-password]');
	const back = () => list.querySelector('[data-kind=password] [data-rename]');
	panel(page, setPassword, form, (attempt) => attempt.finish('password/change', values(form)), async () => {
		const had = setPassword.hidden;
		await show();
		tell(say(had ? 'passwordChanged' : 'passwordSet'), 'good');
		back()?.focus();
	}, { back });
}

// The clipboard is there in secure contexts only.
for (const button of navigator.clipboard ? document.querySelectorAll('[data-copy]') : []) {
	const label = button.textContent;
	button.hidden = false;
	button.addEventListener('click', async () => {
		try {
			await navigator.clipboard.writeText(button.dataset.copy);
		} catch {
			return; // the browser says why; the address stays there to be selected
		}
		button.textContent = say('copied');
		tell(say('copiedWhat', { what: button.dataset.copy }), 'quiet');
		setTimeout(() => (button.textContent = label), 2000);
	});
}

nudge.querySelector('button').addEventListener('click', () => {
	store('localStorage', `nudged-${data.user}`, true);
	nudge.hidden = true;
	list.querySelector('button:not([hidden])').focus();
});

try {
	await show();
} catch (error) {
	tell(say('waysUnavailable', { when: error.when }), 'bad');
}
