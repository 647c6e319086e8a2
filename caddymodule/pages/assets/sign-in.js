// The sign-in page: loads the modules of the methods that are offered and gives each what they share. Who is signed in
// confirms here that it is still them.
//
// A method is a <section data-method='x'> of the page and a module x.js that exports mount(section, page).

import { attempts } from './attempts.js';
import { call, data, goOn, invited, leave, say, signOut, tell } from './page.js';

const page = attempts(document.querySelector('main'), data.user
	? { prefix: 'step-up/', ending: {}, done: () => leave(data.returnTo) }
	: { carry: invited(), ending: { session: 'cookie', return_to: data.returnTo }, done: (answer) => leave(answer.return_to) });

if (document.querySelector('[autocomplete~=webauthn]')) page.suggest = (await import('./suggestions.js')).suggest;

goOn();

for (const button of document.querySelectorAll('[data-sign-out]')) {
	button.addEventListener('click', (event) => signOut(button, event));
}

if (location.hash === '#signed-out') {
	history.replaceState(null, '', location.pathname + location.search);
	tell(say('signedOut'), 'good');
}

// Who confirms is offered what they have. Where that is not to be learned, all is offered.
const credentials = data.user && (await call('GET', 'credentials').catch(() => null))?.credentials;
const own = credentials?.map(({ kind }) => kind);
for (const section of document.querySelectorAll('[data-method]')) {
	const { method } = section.dataset;
	if (own && !own.includes(method)) continue;
	const { mount } = await import(`./${method}.js`);
	mount(section, page);
	section.hidden = false;
}
if (data.user && !document.querySelector('[data-method]:not([hidden])')) tell(say('cannotConfirm'), 'bad');
