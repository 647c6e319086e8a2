// Questions before what cannot be taken back, and links that are shown once.

import { $, when } from './admin.js';
import { ask } from './ask.js';
import { say, tell } from './page.js';

// really asks, and answers whether it was meant.
export function really(means, dialog = $('[data-really]')) {
	const text = dialog.querySelector('[data-means]');
	if (text) text.textContent = means;
	return ask(dialog);
}

const section = $('[data-link]');
const copy = section.querySelector('[data-copy-link]');
const address = section.querySelector('[data-address]');

// reveal shows a link, which nobody is told again.
export function reveal({ link, expires, qr }) {
	section.hidden = false;
	address.textContent = link;
	section.querySelector('[data-until]').replaceChildren(`${say('goodUntil')} `, when(expires));
	const image = section.querySelector('[data-qr]');
	if (image) image.src = `data:image/svg+xml,${encodeURIComponent(qr)}`;
	copy.hidden = !navigator.clipboard;
	section.querySelector('h2').focus();
}

export const conceal = () => {
	section.hidden = true;
	address.textContent = '';
};

copy.addEventListener('click', async () => {
	try {
		await navigator.clipboard.writeText(address.textContent);
		tell(say('linkCopied'), 'good');
	} catch {
		getSelection().selectAllChildren(address);
	}
});
