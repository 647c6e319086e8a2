// Package mail turns what is to be told (authcore.Mail) into messages and sends them over SMTP.
//
// A Worker empties the outbox. Each mail is claimed by one instance, sent, and deleted only when the mail server has
// taken it; so what was written to the outbox arrives at least once, over restarts, crashes and outages. In the ordinary
// case it arrives once. Where the answer of the server is lost, or a process ends between sending and deleting, it is
// sent again, byte for byte the same and under the same Message-ID, by which servers and readers drop the second one.
//
// Messages have plain text and HTML. They carry no images, nothing to load, nothing that tells whether they were read.
// What strangers can choose (the name in a registration, what a browser calls itself) is shown cleaned, shortened, or
// not at all, so that nobody can have text of their own sent to others in the name of the site. Line ends in any field
// never reach a header.
//
// Connections use TLS with a verified certificate unless that is switched off, never because the other side wants so.
// Credentials go over TLS, or to this very machine, only.
//
// The package logs no address, no link and no answer of a mail server (which may quote both): ids, kinds and codes only.
// It does not decide who is told what, and opens no mail itself: the outbox holds them sealed.
package mail
