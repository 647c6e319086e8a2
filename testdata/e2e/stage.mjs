// What the tests of a file play on: a gateway, a browser, and pages that are looked at for what must not happen.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { launch, open } from './browser.mjs';
import { start } from './server.mjs';

export const desktop = { viewport: { width: 1280, height: 800 } };
export const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

// stage answers what start answers, once the tests run, and visit(options, run, origin): it runs run in a page of its own
// and then looks whether something happened in it that must not. page.asked are the routes that it asked to change
// something, in order. Options are those of open, and:
//   browser       another one
//   program       a function to run in the page, and in each frame of it, before its scripts
//   suggestions   whether the browser suggests passkeys
// prepare answers the options of start.
export function stage(prepare = () => ({})) {
	let browser;
	const gate = {
		async visit(options, run, origin = gate.origin) {
			const page = await open(options.browser ?? browser, origin, options);
			page.setDefaultTimeout(60_000); // a machine may have much else to do
			if (options.program) {
				await page.addInitScript(options.program);
			} else if (!options.suggestions) {
				// A device that is touched at once takes what is suggested, too. So most tests do without.
				await page.addInitScript(() => { delete window.PublicKeyCredential?.isConditionalMediationAvailable; });
			}
			page.asked = [];
			page.on('request', (request) => {
				if (['POST', 'PATCH', 'DELETE'].includes(request.method())) {
					page.asked.push(`${request.method()} ${new URL(request.url()).pathname.slice('/auth/'.length)}`);
				}
			});
			try {
				await run(page);
				assert.deepEqual(page.faults, []);
			} finally {
				await page.context().close();
			}
		},
		stop: async () => {},
	};
	before(async () => {
		const [started, launched] = await Promise.all([Promise.resolve(prepare()).then(start), launch()]);
		browser = launched;
		Object.assign(gate, started);
	});
	after(async () => {
		await browser?.close();
		await gate.stop();
	});
	return gate;
}
