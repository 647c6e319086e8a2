// A single-page app that asks by this fetch outlives its session: its user signs in in a pop-up, and it asks anew.

const mount = new URL('.', import.meta.url).pathname, plain = window.fetch.bind(window);
const tabs = new BroadcastChannel('authgate'); // on which the pages to sign in tell that it is done
const whoIs = () => plain(`${mount}session`).then((answer) => (answer.ok ? answer.json() : null)).then((is) => is?.user.id, () => null);
let times = 0, asking, watching, who = whoIs();
const over = () => (asking = asking?.abort()); // for all who wait
tabs.onmessage = ({ data }) => data === 'signed-in' && ((times += 1), over());
function ask(page) {
	const popUp = open(page, 'authgate', 'popup,width=460,height=720');
	if (popUp) return clearTimeout(watching), watch(popUp);
	dispatchEvent(new Event('authgate-blocked')); // browsers want a click for a pop-up: the next one opens it
	addEventListener('click', () => ask(page), { once: true });
}
function watch(popUp, seen) { // a Cross-Origin-Opener-Policy of the application's has it look closed, and never be seen
	try { seen ||= popUp.location.pathname.startsWith(mount); } catch {} // it is elsewhere
	if (!popUp.closed) watching = setTimeout(watch, 300, popUp, seen); else if (seen) over();
}
export async function fetch(...args) {
	const request = new Request(...args), before = times;
	const was = await (who = (await who) ?? whoIs()), answer = await plain(request.clone()), own = answer.status === 401 && answer.type === 'basic';
	const { code, with: by = '', within = '' } = (own && (await answer.clone().json().catch(() => null))) || {};
	const page = { unauthenticated: 'sign-in?', step_up_required: `confirm?with=${by}&within=${within}&` }[code];
	if (!page) return answer; // of the application's own
	if (before === times && (!asking || navigator.userActivation?.isActive)) ask(`${mount}${page}pop-up&return_to=${mount}account`);
	if (before === times) await new Promise((go) => AbortSignal.any([(asking ??= new AbortController()).signal, request.signal]).addEventListener('abort', go));
	request.signal.throwIfAborted();
	const now = await whoIs(); // what one began another must not end
	return was && now && was !== now ? (location.reload(), answer) : now ? plain(request) : answer;
}
