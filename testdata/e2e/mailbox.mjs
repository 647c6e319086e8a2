// A mail server for tests: real SMTP with STARTTLS and a password, which keeps what it is sent.
//
//   const mailbox = await openMailbox();       // { options, env, next, mails, close }
//   const gate = await start({ global: mailbox.options, env: mailbox.env });
//   const { subject, text, html, link } = await mailbox.next('ada@example.com');
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';

const username = 'auth@example.com';
const password = 'mail secret';

export async function openMailbox() {
	const dir = await mkdtemp(path.join(tmpdir(), 'authgate-mail-'));
	const [key, cert] = [path.join(dir, 'key.pem'), path.join(dir, 'cert.pem')];
	await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
		'-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert]);
	const mails = [];
	const waiting = [];
	const deliver = () => {
		for (const one of [...waiting]) {
			const i = mails.findIndex(({ to }) => to === one.to);
			if (i >= 0) {
				waiting.splice(waiting.indexOf(one), 1);
				one.resolve(mails.splice(i, 1)[0]);
			}
		}
	};
	const server = new SMTPServer({
		key: await readFile(key), cert: await readFile(cert), authMethods: ['PLAIN', 'LOGIN'], logger: false,
		onAuth(auth, session, done) {
			const good = session.secure && auth.username === username && auth.password === password;
			done(good ? null : new Error('not known'), good ? { user: username } : undefined);
		},
		async onData(stream, session, done) {
			const { subject, text, html, headers, from } = await simpleParser(stream);
			for (const { address } of session.envelope.rcptTo) {
				mails.push({ to: address, from: from.text, subject, text, html, headers, link: /\bhttps?:\S+#\S+/.exec(text)?.[0] });
			}
			deliver();
			done();
		},
	});
	server.on('error', () => {}); // a client that went away
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.server.address();

	return {
		mails, // those that nobody took yet
		// next answers the next mail to an address, and takes it.
		next: (to) => new Promise((resolve, reject) => {
			const one = { to, resolve };
			waiting.push(one);
			deliver();
			setTimeout(() => waiting.includes(one) && reject(new Error(`no mail to ${to}, but ${JSON.stringify(mails.map((mail) => [mail.to, mail.subject]))}`)), 90_000).unref();
		}),
		options: `mail {
			from "Example <${username}>"
			smtp localhost:${port} {
				username ${username}
				password "${password}"
			}
		}`,
		env: { SSL_CERT_FILE: cert },
		async close() {
			await new Promise((resolve) => server.close(resolve));
			await rm(dir, { recursive: true, force: true });
		},
	};
}
