// Reads `go test -json` from standard input: prints a line a package and the output of what failed, appends "passed
// failed" to the file that is its argument, and fails on any failure and on any skipped test. Only where the
// vectors (../shared) are not there may tests that need them skip, and without root those of other users' files.
//
// What a test sees may depend on when the machine lets others run. A few tests that failed are run again, each package by
// itself, with the arguments of go that follow the file: once where servers and processes are started, ten times in a row
// where nothing but the test can be the cause. What failed and then always passed is told at the end. What fails again
// fails; so does at once a panic, a data race, and whatever failed among many.
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const [counts, ...go] = process.argv.slice(2);
const drivesProcesses = /\/(caddymodule|caddymodule\/endtoend|caddymodule\/command|caddymodule\/pages|authcore\/store\/\w+|testdata\/chain.*)$/;
const few = 4;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const vectors = existsSync(path.join(root, '..', 'shared', 'vectors'));
const passed = new Set();
const failed = new Set();
const skipped = new Set();
const unsteady = new Set();
let hopeless = go.length === 0; // something failed that running again cannot excuse

const mayMiss = (text) => (!vectors && /shared.vectors/.test(text)) || (process.getuid() !== 0 && text.includes('only root has'));

const read = async (input) => {
	const output = new Map(); // of what has not ended yet
	const begun = new Set(); // packages
	for await (const line of createInterface({ input })) {
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
		if (action === 'start') {
			begun.add(pkg);
		}
		if (!['pass', 'fail', 'skip', 'build-fail'].includes(action)) {
			continue;
		}
		if (!test) {
			begun.delete(pkg);
		}
		const written = output.get(name) ?? '';
		output.delete(name);
		if (action.endsWith('fail')) {
			console.log(written);
			hopeless ||= action === 'build-fail' || /DATA RACE|^panic: /m.test(written);
			if (test || ![...failed].some((other) => other.startsWith(`${pkg} `))) {
				failed.add(name);
				hopeless ||= !test;
			}
			for (const [other, text] of test ? [] : output) { // what a panic cut off
				if (other.startsWith(`${pkg} `)) {
					hopeless = true;
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
	for (const pkg of begun) { // the go command itself was ended
		hopeless = true;
		failed.add(pkg);
		console.log(`did not end: ${pkg}`);
	}
};

await read(process.stdin);

const again = new Map(); // tests by package
for (const name of failed) {
	const [pkg, test = ''] = name.split(' ');
	again.set(pkg, (again.get(pkg) ?? new Set()).add(test.split('/')[0]));
}
if (!hopeless && again.size > 0 && [...again.values()].flatMap((tests) => [...tests]).length <= few) {
	const first = [...failed];
	failed.clear();
	for (const [pkg, tests] of again) {
		const times = drivesProcesses.test(pkg) ? 1 : 10;
		console.log(`\nagain, by themselves, ${times} times: ${[...tests].join(' ')}`);
		const { stdout } = spawn('go', [...go, `-count=${times}`, '-json', '-run', `^(${[...tests].join('|')})$`, pkg], { stdio: ['ignore', 'pipe', 'inherit'] });
		await read(stdout);
	}
	for (const name of first) {
		if (!failed.has(name) && passed.has(name)) {
			unsteady.add(name);
		} else {
			failed.add(name); // it was not even reached
		}
	}
}

for (const name of unsteady) {
	console.log(`failed, and passed when it was run again: ${name}`);
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
appendFileSync(counts, `${passed.size} ${bad}\n`);
process.exitCode = bad > 0 || passed.size === 0 ? 1 : 0;
