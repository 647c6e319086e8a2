// Starts the real gateway for a test: the built Caddy with a site on http://localhost, before a backend that answers
// with what it was sent.
//
//   const gate = await start();          // { origin, seen, log, stop }
//   after(() => gate.stop());
//
// AUTHGATE_URL tests a gateway that runs already (nothing is started; seen stays empty), AUTHGATE_BINARY a Caddy that is
// built already.
import { execFile, spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { WebSocketServer } from 'ws';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

// start answers { origin, seen, log(), stop(), switches }: seen is the requests that reached the backend, in order, each
// { method, url, headers, body }. Options: global and site are further lines of the two authgate blocks of the Caddyfile; with
// example it is Caddyfile.example, on other ports, with its own backend. hosts are names of further sites, each
// https://<host>, for which site may be a function; with the switches a Chromium finds them and believes their certificate. registration is who may open
// an account, env further variables of its environment, backup a file to fill the store with before it starts. What X-Forwarded-For says is believed, so that a test can be as many
// clients as it needs.
export async function start({ global = '', site = '', hosts = [], registration = 'open', env = {}, example = false, backup } = {}) {
	if (process.env.AUTHGATE_URL && !example) {
		return { origin: new URL(process.env.AUTHGATE_URL).origin, seen: [], log: () => '', stop: async () => {} };
	}
	const dir = await mkdtemp(path.join(tmpdir(), 'authgate-e2e-'));
	const backend = await startBackend();
	const binary = process.env.AUTHGATE_BINARY || await build(dir);
	const [port, admin, demo] = await freePorts(3);
	const origin = `http://localhost:${port}`;
	const config = example
		? (await readFile(path.join(root, 'Caddyfile.example'), 'utf8'))
			.replaceAll('8080', port).replaceAll('8081', demo).replace(/^\{$/m, `{\n\tadmin 127.0.0.1:${admin}`)
		: caddyfile({ dir, port, admin, tls: demo, backend: backend.port, global, site, hosts, registration });
	const switches = hosts.length ? [
		`--host-resolver-rules=MAP *.test 127.0.0.1:${demo}`,
		`--ignore-certificate-errors-spki-list=${await certify(dir, hosts)}`,
	] : [];
	await writeFile(path.join(dir, 'Caddyfile'), config);

	const environment = { ...process.env, XDG_DATA_HOME: path.join(dir, 'data'), XDG_CONFIG_HOME: path.join(dir, 'config'), ...env };
	if (backup) {
		await promisify(execFile)(binary, ['authgate', 'restore', backup, '--config', path.join(dir, 'Caddyfile')], { env: environment });
	}
	const caddy = spawn(binary, ['run', '--config', path.join(dir, 'Caddyfile'), '--adapter', 'caddyfile'], {
		env: environment,
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let output = '';
	caddy.stdout.on('data', (chunk) => { output += chunk; });
	caddy.stderr.on('data', (chunk) => { output += chunk; });
	const exited = new Promise((resolve) => caddy.once('exit', resolve));

	const stop = async () => {
		caddy.kill('SIGKILL');
		await exited;
		await backend.close();
		await rm(dir, { recursive: true, force: true });
	};
	try {
		await ready(`${origin}/auth/health/ready`, () => caddy.exitCode);
	} catch (err) {
		await stop();
		throw new Error(`${err.message}; Caddy wrote:\n${output}`);
	}
	// caddy runs a command of the gateway and answers what it wrote.
	const command = async (...args) => (await promisify(execFile)(binary, ['authgate', ...args, '--address', `127.0.0.1:${admin}`])).stdout;
	return { origin, seen: backend.seen, log: () => output, stop, switches, caddy: command };
}

function caddyfile({ dir, port, admin, tls, backend, global, site, hosts, registration }) {
	return `{
	admin 127.0.0.1:${admin}
	persist_config off
	auto_https off
	default_bind 127.0.0.1 ::1
	servers {
		trusted_proxies static 127.0.0.1/32 ::1/128
	}
	authgate {
		store sqlite ${dir}/authgate.db
		registration ${registration}
		rate_limit off
		${global}
	}
}
http://localhost:${port} {
	authgate {
		allow anyone /public/*
		allow role admin /admin/*
		${hosts.length ? 'methods wallet' : site}
	}
	reverse_proxy 127.0.0.1:${backend}
}
${hosts.map((host) => `https://${host}:${tls} {
	tls ${dir}/cert.pem ${dir}/key.pem
	authgate {
		origin https://${host}
		allow anyone /public/*
		${typeof site === 'function' ? site(host) : site}
	}
	reverse_proxy 127.0.0.1:${backend}
}
`).join('')}`;
}

// certify makes a certificate for names and answers the hash of its key, by which Chromium is told to believe it.
async function certify(dir, hosts) {
	const cert = path.join(dir, 'cert.pem');
	await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
		'-subj', '/CN=test', '-addext', `subjectAltName=${hosts.map((host) => `DNS:${host}`)}`,
		'-keyout', path.join(dir, 'key.pem'), '-out', cert]);
	const key = new X509Certificate(await readFile(cert)).publicKey.export({ type: 'spki', format: 'der' });
	return createHash('sha256').update(key).digest('base64');
}

async function build(dir) {
	const binary = path.join(dir, 'caddy');
	await promisify(execFile)('go', ['build', '-o', binary, './caddymodule/cmd/caddy'], {
		cwd: root,
		env: { ...process.env, CGO_ENABLED: '0' },
	});
	return binary;
}

// startBackend answers every request with what it was sent: JSON for programs, a page with the same JSON for browsers. Websockets
// get back what they send.
async function startBackend() {
	const seen = [];
	const server = createServer(async (req, res) => {
		const request = { method: req.method, url: req.url, headers: req.headers };
		const body = [];
		for await (const chunk of req) {
			body.push(chunk);
		}
		seen.push({ ...request, body: Buffer.concat(body) });
		const json = JSON.stringify(request, null, 2);
		if ((req.headers.accept || '').includes('text/html')) {
			res.setHeader('Content-Type', 'text/html; charset=utf-8');
			const text = json.replace(/&/g, '&amp;').replace(/</g, '&lt;');
			res.end(`<!doctype html><html lang="en"><title>Backend</title><h1>Backend</h1><pre id="seen">${text}</pre>`);
			return;
		}
		res.setHeader('Content-Type', 'application/json');
		res.end(json);
	});
	const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true });
	server.on('upgrade', (req, socket, head) => {
		seen.push({ method: req.method, url: req.url, headers: req.headers, body: head });
		sockets.handleUpgrade(req, socket, head, (ws) => {
			ws.on('error', () => {}); // the gateway ends it as it likes
			ws.on('message', (data, binary) => ws.send(data, { binary }));
		});
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	const close = () => new Promise((resolve) => {
		server.close(resolve);
		server.closeAllConnections();
		sockets.clients.forEach((ws) => ws.terminate());
	});
	return { port: server.address().port, seen, close };
}

let looked = process.pid * 37 % 18_000;

// Below the ports that the system gives to outgoing connections, so that none of these takes one before Caddy does.
async function freePorts(n) {
	const ports = [];
	while (ports.length < n) {
		const port = 12_000 + looked++ % 18_000;
		const free = await new Promise((resolve) => {
			const server = net.createServer().once('error', () => resolve(false));
			server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
		});
		if (free) {
			ports.push(port);
		}
	}
	return ports;
}

async function ready(url, exitCode) {
	const deadline = Date.now() + 120_000; // a machine may have much else to do
	let last = 'no answer';
	while (Date.now() < deadline) {
		if (exitCode() !== null) {
			throw new Error(`Caddy ended with code ${exitCode()}`);
		}
		try {
			const res = await fetch(url);
			if (res.ok) {
				return;
			}
			last = `status ${res.status}`;
		} catch (err) {
			last = err.cause?.code || err.message;
		}
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	throw new Error(`not ready after 120 s: ${last}`);
}
