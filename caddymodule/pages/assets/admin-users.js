// All users: looked for, filtered, sorted. What is asked for stands in the address, so that it can be kept and gone back to.

import { $, listing, make, query, row, small, submits, suggest, tags, toUser, when } from './admin.js';
import { call, say, tell } from './page.js';

const form = $('[data-filters]');
const table = $('[data-users]');
let total = 0;

const show = listing(table, $('[data-more]'), async (after) => {
	const { order: sorted, ...wanted } = query(form);
	const [order, desc] = (sorted ?? '').split(' ');
	const asked = new URLSearchParams({ ...wanted, ...(order && { order }), ...(desc && { desc: 'true' }), ...(after && { after }), limit: 50 });
	const { users, next, total: all } = await call('GET', `admin/users?${asked}`);
	total = all;
	return { all: users, next };
}, ({ id, username, name, email, roles, methods, disabled, last_seen: seen }) => row(
	table,
	[toUser(id, name || username), small(name && username), small(email !== username && email), disabled && make('small', { className: 'off', textContent: say('isDisabled') })],
	roles.length && tags(roles),
	methods.map((kind) => say(kind)).join(', '),
	seen ? when(seen) : say('never'),
), (n) => tell(say(n ? 'shown' : 'nothing', { n, total })));

submits(form, () => {
	history.replaceState(null, '', `?${new URLSearchParams(query(form))}`);
	show();
});
for (const choice of form.querySelectorAll('select')) choice.addEventListener('change', () => form.requestSubmit());

for (const [name, value] of new URLSearchParams(location.search)) {
	if (form.elements[name]) form.elements[name].value = value;
}
show();
suggest($('#roles')).catch(() => {}); // any role can be typed
