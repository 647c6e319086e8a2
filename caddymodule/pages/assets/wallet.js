// Sign-in with an Ethereum wallet: the gateway writes the message (ERC-4361), the wallet signs it. A Solana wallet writes it
// itself where it can (Sign In With Solana), of what the gateway says.

import { common } from './attempts.js';
import { Refusal } from './page.js';
import { find } from './wallets.js';

export function mount(section, page) {
	const list = section.querySelector('[data-wallets]');
	const none = section.querySelector('[data-none]');
	const note = section.querySelector('[data-note]');
	const template = section.querySelector('template');
	const shown = new Map();

	find((wallets) => {
		section.querySelector('[data-searching]')?.remove();
		none.hidden = wallets.length > 0;
		list.hidden = note.hidden = wallets.length === 0;
		for (const [id, item] of shown) {
			if (wallets.some((wallet) => wallet.id === id)) continue;
			item.remove();
			shown.delete(id);
		}
		for (const wallet of wallets) {
			if (shown.has(wallet.id)) continue;
			const item = choice(wallet);
			shown.set(wallet.id, item);
			list.append(item);
		}
	}, page.data.solana);

	function choice(wallet) {
		const item = template.content.cloneNode(true).firstElementChild;
		const button = item.querySelector('button');
		const name = wallet.name || page.say(wallet.id === 'injected' ? 'fallbackName' : 'unnamed');
		item.querySelector('bdi').textContent = name;
		if (wallet.icon) {
			const img = item.querySelector('img');
			img.addEventListener('load', () => {
				img.hidden = false;
				item.querySelector('.blank').hidden = true;
			});
			img.src = wallet.icon;
		}
		if (document.body.hasAttribute('data-busy')) button.ariaDisabled = 'true';
		button.addEventListener('click', () => {
			if (!document.body.hasAttribute('data-busy')) signIn(wallet, name, page.begin(button), page);
		});
		return item;
	}

	offerHelp(none);
}

async function signIn({ provider, solana }, wallet, attempt, page) {
	let proof;
	try {
		proof = await (solana ? proveOnSolana(solana, wallet, attempt, page) : prove(provider, wallet, attempt, page));
		attempt.step(page.say('finishing'));
		await attempt.finish('challenge/sign', proof);
	} catch (error) {
		if (error.code === 'step_up_required') attempt.confirmFirst();
		attempt.fail(...explain(error, wallet, proof, page));
	}
}

// prove has the wallet sign a message of the gateway. Each answer of the wallet may come long after its user went on, so
// it is followed by a look whether the attempt is still wanted.
async function prove(provider, wallet, attempt, page) {
	let address = '';
	const changed = (accounts) => {
		if (address && accounts?.[0]?.toLowerCase() !== address.toLowerCase()) {
			attempt.fail(page.say(accounts?.length ? 'accountChanged' : 'disconnected', { wallet }));
		}
	};
	provider.on?.('accountsChanged', changed);
	try {
		attempt.step(page.say('connecting', { wallet }));
		const accounts = await provider.request({ method: 'eth_requestAccounts' });
		attempt.check();
		if (typeof accounts?.[0] !== 'string') throw new Refusal('invalid_address');
		address = accounts[0];
		// Who confirms who they are can do it with their own wallets only; say so before another one is asked to sign.
		const { wallets = [] } = page.data;
		if (attempt.confirms && !wallets.some((own) => own.toLowerCase() === address.toLowerCase())) throw new Refusal('wrong_account');
		const chainId = Number(await provider.request({ method: 'eth_chainId' }));

		attempt.step(page.say('preparing'));
		const { challengeMessage: challenge } = await attempt.post('challenge/create', { address, chainId });

		attempt.step(page.say('signing', { wallet }));
		const signature = await provider.request({ method: 'personal_sign', params: [hex(challenge), address] });
		return { challenge, signature };
	} finally {
		provider.removeListener?.('accountsChanged', changed);
	}
}

// proveOnSolana asks for everything at once where the wallet can (solana:signIn); else for the account, then for the
// signature.
async function proveOnSolana({ features, accounts: known }, wallet, attempt, page) {
	const isOwn = ({ address }) => !attempt.confirms || (page.data.wallets ?? []).includes(address);
	let output;
	if (features['solana:signIn']) {
		attempt.step(page.say('preparing'));
		const { signInInput } = await attempt.post('challenge/create', { chain: 'solana' });
		attempt.step(page.say('signing', { wallet }));
		[output] = await features['solana:signIn'].signIn(signInInput);
		attempt.check();
		if (!isOwn(output.account)) throw new Refusal('wrong_account');
	} else {
		attempt.step(page.say('connecting', { wallet }));
		const { accounts } = await features['standard:connect'].connect();
		attempt.check();
		const account = (accounts ?? known)?.find(({ chains }) => chains.some((chain) => chain.startsWith('solana:')));
		if (typeof account?.address !== 'string') throw new Refusal('invalid_address');
		if (!isOwn(account)) throw new Refusal('wrong_account');
		attempt.step(page.say('preparing'));
		const { challengeMessage } = await attempt.post('challenge/create', { chain: 'solana', address: account.address });
		attempt.step(page.say('signing', { wallet }));
		[output] = await features['solana:signMessage'].signMessage({ account, message: new TextEncoder().encode(challengeMessage) });
	}
	// What was signed may differ from what was asked for; the gateway judges that.
	return { challenge: new TextDecoder().decode(output.signedMessage), signature: hexOf(output.signature) };
}

// ofWallet are the codes of EIP-1193 and JSON-RPC, ofGateway those of the problem bodies; both name a text.
const ofWallet = {
	4001: 'declined',
	4100: 'notAuthorized',
	4200: 'unsupported',
	4900: 'disconnected',
	4901: 'disconnected',
	[-32002]: 'pending',
	[-32601]: 'unsupported',
};
const ofGateway = {
	...common,
	challenge_expired: 'challengeExpired',
	challenge_not_found: 'challengeExpired',
	invalid_message: 'invalidMessage',
	invalid_signature: 'invalidSignature',
	invalid_address: 'noAccount',
	registration_closed: 'registrationClosed',
	credential_in_use: 'credentialInUse',
	wrong_account: 'wrongAccount',
	rpc_unavailable: 'rpcUnavailable',
};

// explain answers words, kind and code (see tell) for whatever went wrong.
function explain(error, wallet, proof, { say }) {
	if (!(error instanceof Refusal)) {
		const key = ofWallet[error?.code] ?? ofWallet[error?.data?.originalError?.code] ?? (/reject|declin|denied|cancel/i.test(error?.message) ? 'declined' : 'walletFailed');
		return [say(key, { wallet }), key === 'declined' ? '' : 'bad'];
	}
	const { code, when, problem } = error;
	if (code === 'chain_not_allowed') {
		const chains = Array.isArray(problem.chains) ? problem.chains.map((id) => chainName(id, say)) : [];
		if (!chains.length) return [say('chainNotAllowed', { wallet }), 'bad'];
		const last = chains.pop();
		return [say('chainNotAllowedNamed', { wallet, chains: chains.length ? say('or', { list: chains.join(', '), last }) : last }), 'bad'];
	}
	if (problem.reason === 'chain_not_checked') {
		return [say('chainNotChecked', { wallet, chain: chainName(proof?.challenge.match(/^Chain ID: (\d+)$/m)?.[1], say) }), 'bad'];
	}
	const key = ofGateway[code] ?? 'unexpected';
	// The address is what the user sends to whoever runs the site. The gateway wrote it into the message, with its checksum.
	const named = proof?.challenge.match(/^0x[0-9a-fA-F]{40}$/m)?.[0] ?? `solana:${proof?.challenge.split('\n')[1]}`;
	const address = key === 'registrationClosed' && proof && named;
	return [say(key, { wallet, when }), 'bad', address || ''];
}

const chains = { 1: 'Ethereum', 10: 'OP Mainnet', 56: 'BNB Chain', 100: 'Gnosis', 137: 'Polygon', 8453: 'Base', 42161: 'Arbitrum One', 43114: 'Avalanche', 59144: 'Linea', 11155111: 'Sepolia' };

function chainName(id, say) {
	return chains[id] ?? say('chain', { id });
}

// personal_sign takes the bytes of the text as hex; the text itself would be signed too, but not alike by all wallets
// where it begins with 0x.
function hex(text) {
	return hexOf(new TextEncoder().encode(text));
}

function hexOf(bytes) {
	return '0x' + Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// offerHelp fills what is shown where there is no wallet: on a phone, wallets open pages in browsers of their own.
function offerHelp(none) {
	const phone = matchMedia('(pointer: coarse) and (hover: none)').matches;
	none.querySelector('[data-phone]').hidden = !phone;
	none.querySelector('[data-desktop]').hidden = phone;
	const link = none.querySelector('[data-open-in-wallet]');
	link.hidden = !phone;
	link.href = `https://metamask.app.link/dapp/${location.host}${location.pathname}${location.search}`;
	none.querySelector('[data-reload]').addEventListener('click', () => location.reload());
}
