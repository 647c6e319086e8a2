// The page that an invite leads to: who invites, to what and until when, and the ways to open an account with it. Opening
// it spends nothing, as whatever scans mails and chats opens links too.

import { keyOf } from './mailed.js';
import { call, locales, say, tell } from './page.js';

const main = document.querySelector('main');
const key = keyOf('invite');
// Another link that is pasted over this page changes no more than the fragment.
addEventListener('hashchange', () => location.reload());

// Whoever signs out stays on this page, which then offers what it is for.
main.querySelector('[data-sign-out]')?.addEventListener('click', async (event) => {
	event.preventDefault();
	const button = event.target;
	if (button.ariaBusy === 'true') return;
	button.ariaBusy = 'true';
	try {
		await call('POST', 'sign-out');
		location.reload();
	} catch {
		button.ariaBusy = null;
		tell(say('network'), 'bad');
	}
});

function show(what, words) {
	const line = main.querySelector(`[data-${what}]`);
	line.textContent = words;
	line.hidden = !words;
}

async function open() {
	const { by, roles, expires } = await call('POST', 'invite/check', { invite: key });
	show('by', by ? say('invitedBy', { by }) : say('invited'));
	show('roles', roles.length ? say('roles', { roles: roles.join(', ') }) : '');
	const until = new Intl.DateTimeFormat(locales, { dateStyle: 'long', timeStyle: 'short' }).format(new Date(expires));
	show('until', say('until', { time: until }));
	const ways = main.querySelector('[data-open]');
	if (!ways) return;
	ways.hidden = false;
	await import('./ask-mail.js');
}

if (!key) tell(say('inviteIncomplete'), 'bad');
else {
	open().catch(({ code, when }) => {
		const words = { invite_not_found: 'inviteGone', invite_expired: 'inviteExpired', too_many_requests: 'rateLimited', unavailable: 'unavailable', network: 'network' };
		tell(say(words[code] ?? 'unexpected', { when }), 'bad');
	});
}
