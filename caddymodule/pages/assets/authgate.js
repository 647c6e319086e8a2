// A single-page app that asks by this fetch outlives its session: its user signs in in a pop-up, and it asks anew.

const mount = new URL('.', import.meta.url).pathname, plain = window.fetch.bind(window);
const tabs = new BroadcastChannel('authgate'); // on which the pages to sign in tell that it is done
let times = 0, asking = null, done, who = whoIs();
tabs.onmessage = ({ data }) => {
	if (data === 'signed-in') [times, asking] = [times + 1, done?.()];
};

async function whoIs() {
	const answer = await plain(`${mount}session`).catch(() => null);
	return answer?.ok ? (await answer.json()).user.id : null;
}
function ask(page) {
	if (open(page, 'authgate', 'popup,width=460,height=720')) return;
	dispatchEvent(new Event('authgate-blocked')); // browsers want a click for a pop-up: the next one opens it
	addEventListener('click', () => ask(page), { once: true });
}
export async function fetch(...args) {
	const request = new Request(...args), before = times;
	const was = await (who = (await who) ?? whoIs()), answer = await plain(request.clone());
	if (answer.status !== 401 || answer.type !== 'basic') return answer; // basic: of this origin
	const { code, with: by = '', within = '' } = (await answer.clone().json().catch(() => null)) ?? {};
	const page = { unauthenticated: 'sign-in?', step_up_required: `confirm?with=${by}&within=${within}&` }[code];
	if (!page) return answer; // of the application's own
	if (before === times && (!asking || navigator.userActivation?.isActive)) ask(`${mount}${page}pop-up&return_to=${mount}account`);
	if (before === times) await (asking ??= new Promise((resolve) => (done = resolve)));
	const now = await (who = whoIs());
	return was && now && was !== now ? (location.reload(), answer) : plain(request); // what one began another must not end
}
