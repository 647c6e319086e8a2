// Events in words.

import { $, listing, make, named, row, small, when } from './admin.js';
import { who } from './admin-who.js';
import { call, data, say } from './page.js';

// kinds are the events that there are words for.
export const kinds = Object.keys(data.text).filter((key) => key.startsWith('event_')).map((key) => key.slice(6));
const methods = ['passkey', 'wallet', 'password', 'key'];

// events fills the table of events from a route, and answers what does so anew.
export function events(route, asked, told) {
	const table = $('[data-events]');
	return listing(table, $('[data-more-events]'), async (before) => {
		const { events: all, next } = await call('GET', `${route}?${new URLSearchParams({ ...asked(), ...(before && { before }), limit: 50 })}`);
		return { all, next };
	}, ({ time, kind, code, subject, actor, client, user_agent: agent, detail }) => row(
		table,
		when(time),
		[kinds.includes(kind) ? say(`event_${kind}`) : named(kind, 'code'), code && make('small', {}, methods.includes(code) ? say(code) : named(code, 'code')), detail && make('small', { lang: 'en', dir: 'auto', textContent: detail })],
		who(subject),
		who(actor),
		[client && named(client), small(agent)],
	), told);
}
