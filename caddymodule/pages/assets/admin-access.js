// The rules of this site, and what becomes of a request by them.

import { $, make, named, refused, row, submits, toUser } from './admin.js';
import { call, say, tell } from './page.js';

const table = $('[data-rules]');
const answer = $('[data-answer]');
const verdicts = {
	allow: 'allowed',
	sign_in: 'signInAsked',
	step_up: 'freshAsked',
	forbidden: 'refusedWith',
	bad_path: 'notUnderstood',
	own_route: 'ownRoute',
};

const fact = (label, ...what) => make('div', {}, named(say(label), 'dt'), make('dd', {}, ...what));

submits($('[data-explain]'), async ({ url, method, client, user }) => {
	const chosen = [...document.querySelectorAll('[name=with]:checked')].map(({ value }) => value);
	answer.hidden = true;
	tell(say('moment'), 'busy');
	let got;
	try {
		got = await call('POST', 'admin/explain', { url: url ?? '', method, client, user, with: chosen });
	} catch (error) {
		return refused(error, { user_not_found: 'noSuchUser', user_ambiguous: 'severalUsers', invalid_request: 'badQuestion' });
	}
	tell();
	const title = answer.querySelector('h2');
	title.textContent = say(verdicts[got.verdict] ?? 'refusedWith');
	answer.querySelector('dl').replaceChildren(...[
		fact('request', named(`${got.method} ${got.path}`, 'code')),
		got.user && fact('asWhom', toUser(got.user.id, got.user.username)),
		got.text ? fact('decidedBy', named(`${got.rule}. ${got.text}`, 'code')) : got.verdict === 'forbidden' && fact('decidedBy', say('noRule')),
		got.source && fact('writtenAt', named(got.source, 'code')),
		got.status && fact('status', named(`${got.status} ${got.code}`, 'code')),
		got.reading && got.reading !== got.path && fact('readAs', named(got.reading, 'code')),
		got.sign_in && fact('signInAt', named(got.sign_in, 'code')),
		got.token_refused && fact('byToken', say('refusedWith')),
		got.preflight && fact('preflight', say(verdicts[got.preflight] ?? 'refusedWith')),
	].filter(Boolean));
	answer.querySelector('[data-words]').replaceChildren(...got.words.map((words) => named(words, 'li')));
	answer.hidden = false;
	title.focus();
});

try {
	const { rules } = await call('GET', 'admin/rules');
	table.tBodies[0].replaceChildren(...rules.map(({ n, text, source }) => row(table, String(n), named(text, 'code'), source && named(source, 'code'))));
	table.hidden = !rules.length;
	if (!rules.length) tell(say('noRules'));
} catch (error) {
	refused(error);
}
