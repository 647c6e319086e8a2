// The audit log, by kind, user, client and time.

import { $, make, query, submits } from './admin.js';
import { events, kinds } from './admin-events.js';
import { call, say, tell } from './page.js';

const form = $('[data-filters]');
let asked = {};

const show = events('admin/events', () => asked, (n) => tell(say(n ? 'shownEvents' : 'nothing', { n })));
$('#kind').append(...kinds.map((value) => make('option', { value, textContent: say(`event_${value}`) })));

// userOf answers the id of who is meant by a name, an address or an id.
async function userOf(text) {
	const { users } = await call('GET', `admin/users?limit=2&search=${encodeURIComponent(text)}`);
	const exact = users.find(({ id, username, email }) => [id, username, email].includes(text));
	return exact?.id ?? (users.length === 1 ? users[0].id : text);
}

submits(form, async ({ user, since, until, ...wanted }) => {
	try {
		asked = {
			...wanted, ...(user && { user: await userOf(user) }),
			...(since && { since: new Date(since).toISOString() }), ...(until && { until: new Date(until).toISOString() }),
		};
	} catch {
		asked = { ...wanted, user };
	}
	show();
});
$('#kind').addEventListener('change', () => form.requestSubmit());
$('#user').value = new URLSearchParams(location.search).get('user') ?? '';
form.requestSubmit();
