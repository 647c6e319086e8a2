// The page of who one is signed in as, and the refusals that name the account.

import { locales, signOut, tabs } from './page.js';

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
