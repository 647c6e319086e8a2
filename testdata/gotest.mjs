// Reads `go test -json` from standard input: prints a line a package and the output of what failed, appends "passed
// failed" to the file that is its argument, and fails on any failure and on any skipped test. Only where the
// vectors (../shared) are not there may tests that need them skip, and without root those of other users' files.
import { appendFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const vectors = existsSync(path.join(root, '..', 'shared', 'vectors'));
const output = new Map(); // of what has not ended yet
const passed = new Set();
const failed = new Set();
const skipped = new Set();

const mayMiss = (text) => (!vectors && /shared.vectors/.test(text)) || (process.getuid() !== 0 && text.includes('only root has'));

for await (const line of createInterface({ input: process.stdin })) {
	let event;
	try {
		event = JSON.parse(line);
	} catch {
		console.log(line); // of the go command itself
		continue;
	}
	const { Action: action, Package: pkg = event.ImportPath, Test: test, Output: text = '', Elapsed: elapsed = 0 } = event;
	const name = test ? `${pkg} ${test}` : pkg;
	if (action === 'output' || action === 'build-output') {
		output.set(name, (output.get(name) ?? '') + text);
		continue;
	}
	if (!['pass', 'fail', 'skip', 'build-fail'].includes(action)) {
		continue;
	}
	const written = output.get(name) ?? '';
	output.delete(name);
	if (action.endsWith('fail')) {
		console.log(written);
		if (test || ![...failed].some((other) => other.startsWith(`${pkg} `))) {
			failed.add(name);
		}
		for (const [other, text] of test ? [] : output) { // what a panic cut off
			if (other.startsWith(`${pkg} `)) {
				console.log(text);
			}
		}
	} else if (action === 'pass' && test) {
		passed.add(name);
	} else if (action === 'skip' && test && !mayMiss(written)) {
		skipped.add(name);
		console.log(written);
	}
	if (!test && action !== 'build-fail') {
		console.log(`${action === 'skip' ? 'none' : action}\t${pkg}\t${elapsed.toFixed(1)} s`);
	}
}

for (const name of skipped) {
	console.log(`skipped: ${name}`);
}
if (passed.size === 0) {
	console.log('no test ran');
}
if (!vectors) {
	console.log('tests that need ../shared/vectors were skipped: it is not there');
}
const bad = failed.size + skipped.size;
appendFileSync(process.argv[2], `${passed.size} ${bad}\n`);
process.exitCode = bad > 0 || passed.size === 0 ? 1 : 0;
