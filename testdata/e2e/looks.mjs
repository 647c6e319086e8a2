// Whether a page is sound for assistive technology, and what it looks like.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// unsound answers what axe-core finds that is serious or critical, by these rules or by all of its own.
export async function unsound(page, rules) {
	// The policy of the page lets no script in; the protocol of the debugger does.
	if (!await page.evaluate(() => 'axe' in window)) {
		await page.evaluate(axe);
	}
	const violations = await page.evaluate(async (runOnly) => {
		const { violations } = await window.axe.run({ resultTypes: ['violations'], ...runOnly && { runOnly } });
		return violations.map(({ id, impact, nodes }) => ({ id, impact, html: nodes.map((n) => n.html).join(' ') }));
	}, rules);
	return violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => `${v.id}: ${v.html}`);
}

export async function photograph(page, name) {
	if (process.env.AUTHGATE_SCREENSHOTS) {
		mkdirSync(process.env.AUTHGATE_SCREENSHOTS, { recursive: true });
		await page.screenshot({ path: path.join(process.env.AUTHGATE_SCREENSHOTS, name) });
	}
}
