// What a program says of itself (User-Agent), in words.

import { say } from './page.js';

// Each says that it is some of those after it, too.
const browsers = [
	['Edge', /\bEdg(e|A|iOS)?\//], ['Opera', /\b(OPR|Opera)\//], ['Samsung Internet', /\bSamsungBrowser\//], ['MetaMask', /\bMetaMask/],
	['Firefox', /\b(Firefox|FxiOS)\//], ['Chrome', /\b(Chrome|CriOS|HeadlessChrome)\//], ['Safari', /\bSafari\//],
];
const systems = [
	['iPhone', /\biPhone\b/], ['iPad', /\biPad\b/], ['Android', /\bAndroid\b/], ['Windows', /\bWindows\b/], ['ChromeOS', /\bCrOS\b/],
	['macOS', /\bMac OS X\b|\bMacintosh\b/], ['Linux', /\bLinux\b/],
];

// device names the browser and the system, or the program.
export function device(agent) {
	const [browser, system] = [browsers, systems].map((all) => all.find(([, sign]) => sign.test(agent))?.[0]);
	if (browser && system) return say('browserOn', { browser, system });
	return browser ?? system ?? (/^[\w.-]{1,40}/.exec(agent)?.[0] || say('unknownDevice'));
}
