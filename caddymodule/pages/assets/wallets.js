// Finds the wallets of this browser: those that announce themselves (EIP-6963) and, where none does, window.ethereum;
// and those of Solana, by the Wallet Standard.
//
// Name and icon are what a wallet says of itself. The name is only ever a text node, and the icon the source of an <img>
// when it is a data: image, where scripts in an SVG do not run and nothing is fetched.

const patience = 300; // ms to wait for announcements before looking at window.ethereum
const most = 24;

// find calls changed with all wallets known, [{ id, name, icon, provider }], or with solana in place of provider, whenever
// there are more; first as soon as one is found, or with none after a short wait.
export function find(changed, withSolana = false) {
	const announced = new Map();
	const standard = new Map();
	let injected = null;
	let count = 0; // of those in standard, with such as are gone

	const report = () => changed([...(announced.size || !injected ? announced.values() : [injected]), ...standard.values()]);

	addEventListener('eip6963:announceProvider', ({ detail }) => {
		const { info, provider } = detail ?? {};
		if (typeof info?.uuid !== 'string' || typeof provider?.request !== 'function' || announced.size >= most) return;
		// A wallet may announce itself late and more than once: its uuid tells.
		announced.set(info.uuid, { id: info.uuid, name: plain(info.name), icon: image(info.icon), provider });
		report();
	});
	dispatchEvent(new Event('eip6963:requestProvider'));

	const look = () => {
		const provider = window.ethereum;
		if (!injected && typeof provider?.request === 'function') injected = { id: 'injected', name: '', icon: '', provider };
		if (!announced.size) report();
	};
	const add = (wallet) => {
		if (!signsForSolana(wallet) || standard.has(wallet) || standard.size >= most) return;
		const name = plain(wallet.name);
		standard.set(wallet, { id: `solana ${count++}`, name: name && `${name} · Solana`, icon: image(wallet.icon), solana: wallet });
		report();
	};
	if (withSolana) {
		// Whoever comes first, page or wallet, is heard by the other.
		const api = Object.freeze({
			register(...wallets) {
				wallets.forEach(add);
				return () => {
					if (wallets.filter((wallet) => standard.delete(wallet)).length) report();
				};
			},
		});
		addEventListener('wallet-standard:register-wallet', ({ detail }) => typeof detail === 'function' && detail(api));
		dispatchEvent(new CustomEvent('wallet-standard:app-ready', { detail: api }));
	}
	// Wallets that inject late say so by this older event.
	addEventListener('ethereum#initialized', look);
	setTimeout(look, patience);
}

function signsForSolana(wallet) {
	const { chains, features } = wallet ?? {};
	const can = (feature, deed) => typeof features?.[feature]?.[deed] === 'function';
	return Array.isArray(chains) && chains.some((chain) => String(chain).startsWith('solana:'))
		&& (can('solana:signIn', 'signIn') || can('standard:connect', 'connect') && can('solana:signMessage', 'signMessage'));
}

function plain(name) {
	// Control characters and direction overrides have no place in a name.
	return typeof name === 'string' ? name.replace(/[\p{Cc}\p{Cf}]/gu, '').trim().slice(0, 80) : '';
}

function image(icon) {
	return typeof icon === 'string' && /^data:image\/(png|jpeg|gif|webp|svg\+xml)[;,]/.test(icon.trim()) ? icon.trim() : '';
}
