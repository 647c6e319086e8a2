// Writes foreign.json: messages and signatures as other implementations make them, Node's own crypto, tweetnacl,
// @noble/curves, @noble/post-quantum and @scure/base. Run it where those are installed, with the file as argument.

import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { ed25519 } from '@noble/curves/ed25519.js';
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js';
import { base58 } from '@scure/base';
import nacl from 'tweetnacl';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const utf8 = (text) => new TextEncoder().encode(text);
const sha256 = async (bytes) => hex(await crypto.subtle.digest('SHA-256', bytes));

// As createSignInMessageText of the Wallet Standard does; the last line of those fields that stay the same.
function text(account, of, chainId) {
	const fields = ['URI: https://app.example.com', 'Version: 1'];
	if (chainId) fields.push(`Chain ID: ${chainId}`);
	fields.push('Nonce: AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYU', 'Issued At: 2026-11-22T12:00:00.250Z', 'Expiration Time: 2026-11-22T12:01:00.250Z');
	return `app.example.com wants you to sign in with your ${of}:\n${account}\n\nSign in.\n\n${fields.join('\n')}`;
}

const answers = [];
const seed = new Uint8Array(32).fill(7);
const key = createPrivateKey({ key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]), format: 'der', type: 'pkcs8' });
const pub = Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x, 'base64url');
const signers = {
	node: (message) => sign(null, utf8(message), key),
	noble: (message) => ed25519.sign(utf8(message), seed),
	tweetnacl: (message) => nacl.sign.detached(utf8(message), nacl.sign.keyPair.fromSeed(seed).secretKey),
};
for (const [by, signer] of Object.entries(signers)) {
	const solana = text(base58.encode(pub), 'Solana account', 'mainnet');
	const plain = text(`ed25519:${hex(pub)}`, 'Ed25519 key');
	answers.push({ by, kind: 'solana', account: `solana:${base58.encode(pub)}`, message: solana, signature: `0x${hex(signer(solana))}` });
	answers.push({ by, kind: 'ed25519', account: `ed25519:${hex(pub)}`, message: plain, signature: `0x${hex(signer(plain))}` });
}

const { publicKey, secretKey } = ml_dsa65.keygen(seed);
const account = `ml-dsa-65:${await sha256(publicKey)}`;
const message = text(account, 'ML-DSA-65 key');
for (const [by, extraEntropy] of [['noble, deterministic', false], ['noble, hedged', new Uint8Array(32).fill(9)]]) {
	answers.push({ by, kind: 'ml-dsa-65', account, message, key: `ml-dsa-65:${hex(publicKey)}`, signature: `0x${hex(ml_dsa65.sign(utf8(message), secretKey, { extraEntropy }))}` });
}

const base58s = [new Uint8Array(32), new Uint8Array(32).fill(255), Uint8Array.from({ length: 32 }, (_, i) => (i < 5 ? 0 : i)), pub];
writeFileSync(process.argv[2], JSON.stringify({ answers, base58: base58s.map((b) => [hex(b), base58.encode(b)]) }, null, '\t') + '\n');
