// The page of who one is signed in as, and the refusals that name the account.

import { locales, say, signOut, tabs, tell } from './page.js';

for (const button of document.querySelectorAll('[data-sign-out]')) {
	button.addEventListener('click', (event) => signOut(button, event));
}

// What this page says of the account is over when that is signed out, or changed, in another tab. This asks for the page
// anew with GET, where a reload would send a refused form again.
tabs.addEventListener('message', () => location.replace(location.href));

for (const time of document.querySelectorAll('time')) {
	time.title = time.textContent;
	time.textContent = new Date(time.dateTime).toLocaleString(locales, { dateStyle: 'long', timeStyle: 'short' });
}

// The clipboard is there in secure contexts only.
for (const button of navigator.clipboard ? document.querySelectorAll('[data-copy]') : []) {
	const label = button.textContent;
	button.hidden = false;
	button.addEventListener('click', async () => {
		try {
			await navigator.clipboard.writeText(button.dataset.copy);
		} catch {
			return; // the browser says why; the address stays there to be selected
		}
		button.textContent = say('copied');
		tell(say('copiedWhat', { what: button.dataset.copy }), 'quiet');
		setTimeout(() => (button.textContent = label), 2000);
	});
}
