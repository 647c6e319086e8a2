// One user: what there is to know, and all that administrators do. Each change may ask for a fresh sign-in first.

import { $, make, named, refused, small, submits, suggest, when } from './admin.js';
import { conceal, really, reveal } from './admin-really.js';
import { complain } from './attempts.js';
import { change } from './confirm.js';
import { device } from './device.js';
import { call, data, say, tell } from './page.js';

const id = new URLSearchParams(location.search).get('id') ?? '';
const route = `admin/users/${encodeURIComponent(id)}`;
let user;

const words = {
	user_not_found: 'userGone',
	session_not_found: 'itemGone',
	token_not_found: 'itemGone',
	credential_not_found: 'itemGone',
	last_credential: 'lastWay',
	last_administrator: 'lastAdministrator',
	own_account: 'notYourOwn',
	role_granted: 'roleGranted',
	invalid_role: 'invalidRole',
	forbidden: 'unexpected',
};
const told = (error) => {
	if (!(error.code in words)) return false;
	refused(error, words);
	show().catch(() => {}); // somebody else may have changed it
	return true;
};

// act has the gateway change something and shows what became of it.
const act = (origin, method, rest, done, body, back = $('h1')) => change(origin, async () => {
	const answer = await call(method, route + rest, body);
	if (back.value) back.value = ''; // a field of what is done now
	await show();
	tell(say(answer?.warning ? 'grantedUnknown' : done, body), answer?.warning ? '' : 'good');
	if (answer?.link) reveal(answer);
	else back.focus();
}, told);

const fact = (label, ...what) => make('div', {}, named(say(label), 'dt'), make('dd', {}, ...what));

// item is a line of a list, with a button where there is something to do.
function item(title, about, button) {
	return make('li', {}, make('div', { className: 'about' }, title, ...about.map(small)), button && make('div', { className: 'deeds' }, button));
}

function deed(label, named, what, click) {
	const button = make('button', { className: 'button plain small', type: 'button', textContent: say(label), ariaLabel: say(named, { what }) });
	button.addEventListener('click', () => click(button));
	return button;
}

const fill = (list, items) => $(list).replaceChildren(...(items.length ? items : [named(say('none'), 'li')]));
const strong = (text) => make('bdi', { className: 'name', textContent: text });
const upright = (path) => `\u2066${path}\u2069`; // from left to right in every language (LRI and PDI of Unicode)
const date = (key, time) => (time ? `${say(key)} ${when(time).textContent}` : '');

async function show() {
	({ user } = await call('GET', route));
	const { username, name, email, disabled, suspended_until: until } = user;
	$('[data-name]').textContent = name || username;
	$('[data-facts]').replaceChildren(...[
		fact('username', named(username)),
		email && fact('email', named(email)),
		fact('id', named(user.id, 'code')),
		fact('opened', when(user.created)),
		fact('seen', user.last_seen ? when(user.last_seen) : say('never')),
		disabled && fact('state', make('span', { className: 'off', textContent: say('isDisabled') })),
		until && fact('suspendedUntil', when(until)),
	].filter(Boolean));
	$('[data-disable]').hidden = disabled;
	$('[data-enable]').hidden = !disabled;
	$('[data-unlock]').hidden = !until;
	fill('[data-roles]', [
		...user.roles.map((role) => {
			const fixed = user.granted.includes(role);
			return item(strong(role), [fixed && say('ofConfiguration')], !fixed && deed('revoke', 'revokeWhat', role, (button) => act(button, 'DELETE', `/roles/${encodeURIComponent(role)}`, 'roleRevoked', undefined, $('#roles-label'))));
		}),
		...user.chain_roles.map(({ role, holding }) => item(strong(role), [say('ofChain', { holding })])),
	]);
	fill('[data-methods]', user.credentials.map((c) => {
		const address = c.wallet?.split(':').at(-1);
		const title = c.name || address || c.key || c.provider || say(c.kind);
		return item(strong(title), [title !== say(c.kind) && say(c.kind), title !== address && address, date('added', c.created), date('lastUsed', c.last_used)], deed('remove', 'removeWhat', title, async (button) => {
			if (await really(say('removeMeans', { what: title }))) act(button, 'DELETE', `/credentials/${c.id}`, 'removed', undefined, $('#methods-label'));
		}));
	}));
	fill('[data-sessions]', user.sessions.map((s) => {
		const title = device(s.user_agent);
		return item(Object.assign(strong(title), { title: s.user_agent }), [s.client_ip, date('lastUsed', s.last_seen), s.current && say('thisOne')], deed('end', 'endWhat', title, (button) => act(button, 'DELETE', `/sessions/${s.id}`, 'ended', undefined, $('#sessions-label'))));
	}));
	fill('[data-tokens]', user.tokens.map(({ id: token, name: title, created, expires, last_used: used, roles, paths = [] }) => item(strong(title), [
		roles ? say(roles.length ? 'ofRoles' : 'noRoles', { roles: roles.join(', ') }) : say('allRoles'),
		paths.map(upright).join(' '),
		date('added', created),
		expires ? date(Date.parse(expires) > Date.now() ? 'goodTo' : 'expired', expires) : say('noEnd'),
		date('lastUsed', used),
	], deed('remove', 'removeWhat', title, async (button) => {
		if (await really(say('tokenMeans', { what: title }))) act(button, 'DELETE', `/tokens/${token}`, 'removed', undefined, $('#tokens-label'));
	}))));
	$('[data-end-all]').hidden = !user.sessions.length;
	$('[data-user]').hidden = false;
}

const on = (selector, click) => $(selector).addEventListener('click', ({ currentTarget }) => click(currentTarget));
on('[data-disable]', async (button) => (await really(say('disableMeans'))) && act(button, 'POST', '/disable', 'nowDisabled'));
on('[data-enable]', (button) => act(button, 'POST', '/enable', 'nowEnabled'));
on('[data-unlock]', (button) => act(button, 'POST', '/unlock', 'unlocked'));
on('[data-recover]', (button) => {
	conceal();
	act(button, 'POST', '/recover', 'recoveryMade');
});
on('[data-end-all]', async (button) => (await really(say('endAllMeans'))) && act(button, 'DELETE', '/sessions', 'endedAll', undefined, $('#sessions-label')));
submits($('[data-grant]'), ({ role }) => {
	const input = $('#role');
	if (role) act(input, 'POST', '/roles', 'roleGiven', { role }, input);
	else input.focus();
});

const deletion = $('[data-deletion]');
const typed = $('#typed');
deletion.querySelector('form').addEventListener('submit', (event) => {
	if (!event.submitter?.value || typed.value.trim() === user.username) return;
	event.preventDefault();
	complain(typed, say('notTheName'));
	typed.focus();
});
on('[data-delete]', async (button) => {
	deletion.querySelector('[data-whole]').textContent = user.username;
	typed.value = '';
	complain(typed);
	if (!(await really('', deletion))) return;
	change(button, async () => {
		await call('DELETE', route);
		location.replace(`${data.mount}/admin`);
	}, told);
});

$('[data-log]').href = `${data.mount}/admin/log?user=${encodeURIComponent(id)}`;
if (!id) location.replace(`${data.mount}/admin`);
else {
	show().catch((error) => refused(error, { user_not_found: 'userGone' }));
	suggest($('#known')).catch(() => {}); // any role can be typed
}
