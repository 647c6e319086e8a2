// Questions before what cannot be taken back.

const answers = new Map();

// ask shows a dialog, and answers whether it was closed by a button that has a value. The focus goes back to where it was.
export function ask(dialog) {
	// A dialog tells that it was closed some time later; by then its user may have opened it anew, to be asked again.
	if (!answers.has(dialog)) dialog.addEventListener('close', () => dialog.open || answers.get(dialog)(Boolean(dialog.returnValue)));
	answers.get(dialog)?.(false);
	dialog.returnValue = '';
	dialog.showModal();
	return new Promise((resolve) => answers.set(dialog, resolve));
}
