// A chain for a test: anvil, with wallets on it that are contracts, and whoever signs for them.
//
//   const chain = await startChain();          // { id, url, client, stop, … }
//   after(() => chain.stop());
//   const safe = await chain.safe(2, owners);  // { address, signMessage({ message }) }, as viem's own accounts are
//
// ANVIL names another anvil than that of npm.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
	concat, createTestClient, encodeDeployData, encodeErrorResult, encodeFunctionData, encodePacked, getAddress, getContractAddress,
	hashMessage, http, keccak256, pad, parseAbi, publicActions, serializeErc6492Signature, size, toHex, walletActions, zeroAddress,
} from 'viem';
import { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';
import { foundry } from 'viem/chains';

const require = createRequire(import.meta.url);
const vectors = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'shared', 'vectors', 'ethereum', 'own', 'wallet-artifacts.json');

// missing says why the wallets of the vectors are not there; false where they are.
export const missing = existsSync(vectors) ? false : '../shared/vectors is not there';

const safes = (file) => require(`@safe-global/safe-contracts/build/artifacts/contracts/${file}.json`);
const own = missing ? {} : JSON.parse(readFileSync(vectors, 'utf8'));

export const newKey = () => privateKeyToAccount(generatePrivateKey());

export async function startChain({ id = 31337 } = {}) {
	const anvil = spawn(process.env.ANVIL || require.resolve(`@foundry-rs/anvil-linux-${process.arch === 'arm64' ? 'arm64' : 'amd64'}/bin/anvil`),
		['--host', '127.0.0.1', '--port', '0', '--chain-id', id], { stdio: ['ignore', 'pipe', 'inherit'] });
	const exited = new Promise((resolve) => anvil.once('exit', resolve));
	const stop = async () => {
		anvil.kill('SIGKILL');
		await exited;
	};
	const url = `http://${await listening(anvil)}`;
	const payer = mnemonicToAccount('test test test test test test test test test test test junk');
	const client = createTestClient({ account: payer, chain: { ...foundry, id }, mode: 'anvil', transport: http(url), pollingInterval: 20 })
		.extend(publicActions).extend(walletActions);

	const settled = async (hash) => {
		const receipt = await client.waitForTransactionReceipt({ hash });
		if (receipt.status !== 'success') {
			throw new Error('the transaction failed');
		}
		return receipt;
	};
	const create = async ({ abi, bytecode }, args = []) => getAddress((await settled(await client.deployContract({ abi, bytecode, args }))).contractAddress);
	const call = async (to, { abi }, functionName, args) => settled(await client.sendTransaction({ to, data: encodeFunctionData({ abi, functionName, args }) }));

	// Where a factory deploys a wallet is known before it does.
	const once = new Map();
	const shared = (name, make) => once.get(name) ?? once.set(name, make()).get(name);
	let salt = 0n;

	const chain = { id, url, client, stop, payer };

	// contract deploys one of the vectors and answers its address.
	chain.contract = (name, ...args) => create(own[name], args);
	chain.call = (address, name, functionName, ...args) => call(address, own[name], functionName, args);
	chain.data = (name, functionName, ...args) => encodeFunctionData({ abi: own[name].abi, functionName, args });

	// safe deploys a Safe whose owners sign with their keys.
	chain.safe = async (threshold, owners) => {
		const address = await deploySafe(BigInt(threshold), owners.map((owner) => owner.address));
		const sorted = [...owners].sort((a, b) => (BigInt(a.address) < BigInt(b.address) ? -1 : 1)).slice(0, threshold);
		return {
			address,
			signMessage: async ({ message }) => concat(await Promise.all(sorted.map((owner) => owner.signTypedData(safeMessage(address, message))))),
		};
	};

	// safeOnChain is a Safe that signs by a transaction; what a site is given is empty.
	chain.safeOnChain = async () => {
		const address = await deploySafe(1n, [payer.address]);
		const { abi } = safes('libraries/SignMessageLib.sol/SignMessageLib');
		return {
			address,
			signMessage: async ({ message }) => {
				const delegateCall = 1;
				const data = encodeFunctionData({ abi, functionName: 'signMessage', args: [hashMessage(message)] });
				// v 1: the owner in r is who sends the transaction.
				const sent = concat([pad(payer.address), pad('0x00'), '0x01']);
				await call(address, safes('Safe.sol/Safe'), 'execTransaction',
					[(await parts()).library, 0n, data, delegateCall, 0n, 0n, 0n, zeroAddress, zeroAddress, sent]);
				return '0x';
			},
		};
	};

	// delegated is a key's account that runs the code of a contract (EIP-7702). What the account is called with then, if with
	// anything, is data.
	chain.delegated = async (key, contractAddress, data) => {
		const authorization = await key.signAuthorization({ contractAddress, chainId: id, nonce: await client.getTransactionCount({ address: key.address }) });
		await settled(await client.sendTransaction({ to: data ? key.address : payer.address, data, authorizationList: [authorization] }));
		return key.address;
	};

	// undeployed is a wallet that a factory of the vectors can deploy, whose owner signs. Kinds: 0 OwnerWallet, 1 BoundWallet,
	// 2 ForSaleWallet.
	chain.undeployed = async (factory, owner, kind = 0) => {
		salt += 1n;
		const args = [kind, owner.address, toHex(salt, { size: 32 })];
		const address = await client.readContract({ address: factory, abi: own.WalletFactory.abi, functionName: 'addressOf', args });
		const data = encodeFunctionData({ abi: own.WalletFactory.abi, functionName: 'create', args });
		return {
			address,
			data,
			signMessage: async ({ message }) => wrap(factory, data, await owner.signMessage({ message })),
		};
	};

	// offchainLookup is a contract that asks whoever calls it to fetch a URL (ERC-3668).
	chain.offchainLookup = (fetch) => {
		const revert = encodeErrorResult({
			abi: parseAbi(['error OffchainLookup(address sender, string[] urls, bytes callData, bytes4 callbackFunction, bytes extraData)']),
			args: [zeroAddress, [fetch], '0x', '0x1626ba7e', '0x'],
		});
		// What gives back what stands behind its own 12 bytes: PUSH2 length, PUSH1 12, PUSH0, CODECOPY, PUSH2 length, PUSH0, and how.
		const gives = (how, data) => concat(['0x61', toHex(size(data), { size: 2 }), '0x600c5f39', '0x61', toHex(size(data), { size: 2 }), '0x5f', how, data]);
		return create({ abi: [], bytecode: gives('0xf3', gives('0xfd', revert)) });
	};

	const parts = () => shared('parts of a Safe', async () => ({
		singleton: await create(safes('Safe.sol/Safe')),
		factory: await create(safes('proxies/SafeProxyFactory.sol/SafeProxyFactory')),
		handler: await create(safes('handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler')),
		library: await create(safes('libraries/SignMessageLib.sol/SignMessageLib')),
	}));
	// safeFactory answers what deploys Safes.
	chain.safeFactory = async () => (await parts()).factory;

	async function deploySafe(threshold, owners) {
		const { singleton, factory, handler } = await parts();
		const setup = encodeFunctionData({
			abi: safes('Safe.sol/Safe').abi, functionName: 'setup',
			args: [owners, threshold, zeroAddress, '0x', handler, zeroAddress, 0n, zeroAddress],
		});
		salt += 1n;
		await call(factory, safes('proxies/SafeProxyFactory.sol/SafeProxyFactory'), 'createProxyWithNonce', [singleton, setup, salt]);
		const proxy = safes('proxies/SafeProxy.sol/SafeProxy');
		return getContractAddress({
			opcode: 'CREATE2', from: factory, salt: keccak256(encodePacked(['bytes32', 'uint256'], [keccak256(setup), salt])),
			bytecode: encodeDeployData({ abi: proxy.abi, bytecode: proxy.bytecode, args: [singleton] }),
		});
	}

	// safeMessage is what owners of a Safe sign for it.
	const safeMessage = (address, message) => ({
		domain: { chainId: id, verifyingContract: address },
		types: { SafeMessage: [{ name: 'message', type: 'bytes' }] },
		primaryType: 'SafeMessage',
		message: { message: hashMessage(message) },
	});
	return chain;
}

// wrap is a signature of a wallet that is not deployed yet, and how it is (ERC-6492).
export const wrap = (factory, data, signature) => serializeErc6492Signature({ address: factory, data, signature });

// listening waits for anvil to say where it answers. What it writes later is read, and let go.
function listening(anvil) {
	return new Promise((resolve, reject) => {
		let output = '';
		anvil.stdout.on('data', (chunk) => {
			if (output !== null) {
				output += chunk;
				const [, address] = output.match(/Listening on (\S+)/) ?? [];
				if (address) {
					output = null;
					resolve(address);
				}
			}
		});
		anvil.once('error', reject);
		anvil.once('exit', (code) => reject(new Error(`anvil ended with code ${code}: ${output}`)));
	});
}
