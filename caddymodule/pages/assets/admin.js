// What the pages of administration share: elements made of what the gateway tells, lists in pages, refusals in words.
// Names, notes and programs are what others wrote: they only ever become text nodes.

import { common } from './attempts.js';
import { call, data, locales, say, tabs, tell } from './page.js';

export const $ = (selector) => document.querySelector(selector);

export function make(tag, props, ...children) {
	const element = Object.assign(document.createElement(tag), props);
	element.append(...children.filter(Boolean));
	return element;
}

export const named = (text, tag = 'bdi') => make(tag, { textContent: text });
export const small = (text) => text && make('small', { dir: 'auto', textContent: text });
export const when = (time) => make('time', { dateTime: time, textContent: new Date(time).toLocaleString(locales, { dateStyle: 'medium', timeStyle: 'short' }) });
export const toUser = (id, text) => make('a', { href: `${data.mount}/admin/user?id=${encodeURIComponent(id)}` }, named(text));
export const tags = (all) => make('ul', { className: 'tags' }, ...all.map((one) => make('li', {}, named(one))));

// row answers a row of a table; each cell is named by its column, for screens that have no room for these.
export function row(table, ...cells) {
	return make('tr', {}, ...cells.map((cell, i) => {
		const td = make('td', {}, ...[cell].flat());
		const label = table.tHead.rows[0].cells[i].textContent;
		if (label) td.dataset.label = label;
		return td;
	}));
}

// refused tells of a refusal; own are texts by codes. Who is no administrator any more learns it from the page.
export function refused(error, own = {}) {
	if (['unauthenticated', 'forbidden'].includes(error.code)) return location.reload();
	if (error.code !== 'over') tell(say(own[error.code] ?? common[error.code] ?? 'unexpected', { when: error.when }), 'bad');
}

// listing fills a table page by page: ask(cursor) answers { all, next }, rowOf a row. What it answers begins anew.
export function listing(table, more, ask, rowOf, told) {
	let next = '';
	let turn = 0;
	const body = table.tBodies[0];
	const load = async (anew) => {
		const mine = ++turn;
		let answer;
		if (told) tell(say('moment'), 'busy');
		try {
			answer = await ask(anew ? '' : next);
		} catch (error) {
			if (mine === turn) refused(error);
			return;
		}
		if (mine !== turn) return;
		const rows = answer.all.map(rowOf);
		if (anew) body.replaceChildren();
		body.append(...rows);
		next = answer.next ?? '';
		more.hidden = !next;
		table.hidden = !body.rows.length;
		told?.(body.rows.length);
		if (!anew && rows.length) {
			rows[0].tabIndex = -1;
			rows[0].focus();
		}
	};
	more.addEventListener('click', () => load(false));
	return () => load(true);
}

// query answers the fields of a form that are filled in.
export const query = (form) => Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));

// submits has a form do something, once it can.
export function submits(form, act) {
	form.addEventListener('submit', (event) => {
		event.preventDefault();
		act(query(form));
	});
	form.querySelector('[type=submit]').disabled = false;
}

// suggest offers the roles that the configuration knows.
export async function suggest(list) {
	const { roles } = await call('GET', 'admin/roles');
	list.replaceChildren(...roles.map((value) => make('option', { value })));
}

// Whoever signs out in another tab is signed out here.
tabs.addEventListener('message', () => location.reload());
