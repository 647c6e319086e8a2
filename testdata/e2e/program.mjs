// A web application that has pages of its own: it asks the gateway by its JSON routes, and the browser for passkeys.
import assert from 'node:assert/strict';

// program runs in the page, before its scripts. What the browser does not answer in a minute it does not answer at all.
export function program() {
	window.program = {
		async send(method, route, body) {
			const response = await fetch(`/auth/${route}`, {
				method, headers: body ? { 'Content-Type': 'application/json' } : {}, body: body && JSON.stringify(body),
			});
			return { status: response.status, body: await response.json().catch(() => null) };
		},
		async ask(what, options, beside) {
			const never = new Promise((resolve) => setTimeout(resolve, 60_000, { error: 'no answer' }));
			const answer = async () => {
				try {
					const publicKey = PublicKeyCredential[what === 'create' ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON'](options);
					return (await navigator.credentials[what]({ publicKey, ...beside })).toJSON();
				} catch (error) {
					return { error: error.name, message: error.message };
				}
			};
			return Promise.race([answer(), never]);
		},
	};
}

export const send = (page, method, route, body) => page.evaluate((args) => window.program.send(...args), [method, route, body]);
export const post = (page, route, body) => send(page, 'POST', route, body);
export const make = (page, options) => page.evaluate((o) => window.program.ask('create', o), options);
export const use = (page, options, beside) => page.evaluate((args) => window.program.ask('get', ...args), [options, beside]);
export const signOut = (page) => post(page, 'sign-out');
export const session = async (page) => (await send(page, 'GET', 'session')).body;

// asked answers what a ceremony begins with.
export async function asked(page, route, body = {}) {
	const { status, body: answer } = await post(page, route, body);
	assert.equal(status, 200, JSON.stringify(answer));
	return { challengeID: answer.challengeID, options: (answer.creationOptions ?? answer.requestOptions).publicKey };
}

export function refused({ status, body }, wanted, code) {
	assert.deepEqual([status, body.code], [wanted, code], JSON.stringify(body));
}
