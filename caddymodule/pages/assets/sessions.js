// Where one is signed in, which can be ended, and what happened to the account.

import { device } from './device.js';
import { call, data, ended, locales, say, tell } from './page.js';

const main = document.querySelector('main');
const time = (at) => new Date(at).toLocaleString(locales, { dateStyle: 'medium', timeStyle: 'short' });
const ways = {
	passkey: 'passkey',
	wallet: 'wallet',
	password: 'password',
	key: 'key',
};
// An address is written from left to right in every language (LRI and PDI of Unicode).
const upright = (address) => address && `\u2066${address}\u2069`;
const way = (method) => say(ways[method] ?? 'otherWay');

// parts are the list of a section, and what fills in a copy of its template.
function parts(name) {
	const section = main.querySelector(`[data-${name}]`);
	const template = section.querySelector('template');
	return [section, section.querySelector('ul'), () => {
		const li = template.content.cloneNode(true).firstElementChild;
		return [li, (selector, words) => {
			const el = li.querySelector(selector);
			if (words != null) el.textContent = words;
			return el;
		}];
	}];
}

// attempt does what was asked for, once at a time.
let busy = false;
async function attempt(origin, act) {
	if (busy) return;
	busy = true;
	if (origin) tell(say('moment'), 'busy');
	try {
		await act();
	} catch ({ code, when }) {
		if (code === 'unauthenticated') return ended();
		tell(say(code === 'network' ? 'network' : code === 'unavailable' ? 'unavailable' : 'unexpected', { when }), 'bad');
		origin?.focus();
	} finally {
		busy = false;
	}
}

const [section, list, copy] = parts('sessions');
const others = section.querySelector('[data-others]');

async function show() {
	const { sessions } = await call('GET', 'sessions');
	// This one first, then those seen last.
	sessions.sort((a, b) => b.current - a.current || b.last_seen.localeCompare(a.last_seen));
	list.replaceChildren(...sessions.map(item));
	others.hidden = sessions.length < 2;
	section.hidden = false;
}

function item({ id, client_ip: address, user_agent: agent, methods, last_seen: seen, created, current }) {
	const [li, fill] = copy();
	const name = device(agent);
	fill('.name', name).title = agent;
	fill('[data-here]').hidden = !current;
	fill('[data-with]', [upright(address), ...methods.map(way)].join(' · '));
	fill('[data-when]', `${say('lastSeen', { time: time(seen) })} · ${say('since', { time: time(created) })}`);
	const end = fill('[data-end]');
	end.hidden = current;
	end.ariaLabel = say('endWhat', { name, address });
	end.addEventListener('click', () => attempt(end, async () => {
		const at = [...list.children].indexOf(li);
		let gone = false;
		try {
			await call('DELETE', `sessions/${id}`);
		} catch (error) {
			if (error.code !== 'session_not_found') throw error;
			gone = true;
		}
		await show();
		tell(say(gone ? 'wasEnded' : 'isEnded', { name }), gone ? '' : 'good');
		const next = list.children[Math.min(at, list.children.length - 1)].querySelector('[data-end]:not([hidden])');
		(next ?? section.querySelector('h2')).focus();
	}));
	return li;
}

others.addEventListener('click', () => attempt(others, async () => {
	await call('DELETE', 'sessions');
	await show();
	tell(say('othersEnded'), 'good');
	section.querySelector('h2').focus();
}));

// What happened, in words; those of whom else it is about are for who looks after accounts.
const kinds = {
	sign_in: 'signIn',
	sign_in_refused: 'signInRefused',
	step_up: 'stepUp',
	sign_out: 'signOut',
	session_ended: 'sessionEnded',
	user_created: 'userCreated',
	user_deleted: 'userDeleted',
	user_disabled: 'userDisabled',
	user_enabled: 'userEnabled',
	profile_changed: 'profileChanged',
	email_changed: 'emailChanged',
	method_added: 'methodAdded',
	method_removed: 'methodRemoved',
	password_changed: 'passwordChanged',
	suspended: 'suspended',
	suspension_lifted: 'suspensionLifted',
	role_granted: 'roleGranted',
	role_revoked: 'roleRevoked',
	invite_created: 'inviteCreated',
	invite_used: 'inviteUsed',
	invite_revoked: 'inviteRevoked',
	recovery_created: 'recoveryCreated',
	recovery_used: 'recoveryUsed',
	token_created: 'tokenCreated',
	token_deleted: 'tokenDeleted',
};
const actors = {
	administrator: 'byAdministrator',
	operator: 'byOperator',
};

const [log, entries, entry] = parts('events');
const more = log.querySelector('[data-more]');
let next = '';

async function showEvents() {
	const answer = await call('GET', `events?limit=20${next && `&before=${next}`}`);
	next = answer.next;
	const items = answer.events.map(happened);
	entries.append(...items);
	more.hidden = !next;
	log.hidden = false;
	return items;
}

function happened({ kind, code, by, subject, time: at, client, user_agent: agent }) {
	const [li, fill] = entry();
	const words = [say(kinds[kind] ?? 'otherEvent', { kind, role: code, way: way(code) })];
	if (actors[by]) words.push(say(actors[by]));
	if (by === 'self' && subject && subject !== data.user) words.push(say('ofAnother'));
	fill('.name', words.join(' · '));
	fill('[data-when]', time(at));
	fill('[data-where]', [agent && device(agent), upright(client)].filter(Boolean).join(' · '));
	return li;
}

more.addEventListener('click', () => attempt(more, async () => {
	const [first] = await showEvents();
	tell();
	first?.focus();
}));

await attempt(null, show);
await attempt(null, showEvents);
