// Who did something. The gateway tells ids; the names are asked for afterwards, each once.

import { toUser } from './admin.js';
import { call, say } from './page.js';

const names = new Map();
const nameOf = (id) => names.get(id) ?? names.set(id, call('GET', `admin/users?limit=1&search=${encodeURIComponent(id)}`)
	.then(({ users }) => users.find((user) => user.id === id), () => null)).get(id);

// who answers a link to a user that an id is of, or the word for the operator; nothing where there is no id.
export function who(id) {
	if (!id) return '';
	if (id === 'operator') return say('operator');
	const link = toUser(id, id.slice(0, 8));
	nameOf(id).then((user) => {
		if (user) link.firstChild.textContent = user.name || user.username;
	});
	return link;
}
