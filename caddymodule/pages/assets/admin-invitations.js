// Invites: made, shown once, listed, revoked.

import { $, make, named, refused, row, submits, tags, when } from './admin.js';
import { conceal, really, reveal } from './admin-really.js';
import { who } from './admin-who.js';
import { complain } from './attempts.js';
import { change } from './confirm.js';
import { call, say, tell } from './page.js';

const form = $('[data-new]');
const table = $('[data-invites]');
const button = form.querySelector('[type=submit]');
const told = (error) => ['invalid_invite', 'invite_not_found', 'forbidden'].includes(error.code) && (refused(error, { invalid_invite: 'invalidInvite', invite_not_found: 'inviteIsGone' }), true);

async function show() {
	const { invites } = await call('GET', 'admin/invites');
	table.tBodies[0].replaceChildren(...invites.map(({ id, roles, note, by, expires, uses, used, live }) => {
		const revoke = live && make('button', { className: 'button plain small', type: 'button', textContent: say('revoke'), ariaLabel: say('revokeWhat', { what: note || roles.join(', ') || id.slice(0, 8) }) });
		if (revoke) {
			revoke.addEventListener('click', async () => {
				if (!(await really(say('revokeMeans')))) return revoke.focus();
				change(revoke, async () => {
					await call('DELETE', `admin/invites/${id}`);
					conceal();
					await show();
					tell(say('revoked'), 'good');
					$('h1').tabIndex = -1;
					$('h1').focus();
				}, told);
			});
		}
		return row(
			table, roles.length ? tags(roles) : say('noRole'), note && named(note), say('usedOf', { used, uses }), [when(expires), !live && make('small', { className: 'off', textContent: say('over') })],
			who(by), revoke,
		);
	}));
	table.hidden = !invites.length;
}

const fields = form.elements;
fields.uses.addEventListener('input', () => complain(fields.uses));
submits(form, ({ uses, expires, note = '' }) => {
	// Here, and not by the gateway: that would have one confirm first, only to be refused.
	complain(fields.uses, fields.uses.validity.valid ? '' : say('invalidInvite'));
	if (!fields.uses.validity.valid) {
		tell();
		return fields.uses.focus();
	}
	change(button, () => invite(uses, expires, note), told);
});

async function invite(uses, expires, note) {
	const roles = [...form.querySelectorAll('[name=role]:checked')].map(({ value }) => value);
	const { invite: made, link, qr } = await call('POST', 'admin/invites', { roles, uses: Number(uses), expires_in: expires * 86400, note });
	form.reset();
	await show();
	tell(say('created'), 'good');
	reveal({ link, qr, expires: made.expires });
}

try {
	const { roles } = await call('GET', 'admin/roles');
	$('[data-roles]').replaceChildren(...roles.map((value) => make('label', {}, make('input', { type: 'checkbox', name: 'role', value }), named(value))));
	await show();
} catch (error) {
	refused(error);
}
