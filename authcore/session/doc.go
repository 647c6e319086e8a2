// Package session keeps sign-ins: it opens, resumes, refreshes and ends sessions.
//
// A session of a browser is resumed by the secret in its cookie, which stays the same over the life of the session. A
// session of a program is continued by refresh tokens, each of which has one successor. Neither is good for the other
// kind of session. Stored are hashes only.
//
// A refresh token just spent answers for ten seconds with the same successor, whoever asks and on whatever instance, so
// that a lost answer or many tabs at once sign nobody out. Afterwards, and for an older one at once, its use is taken
// for theft and ends the whole family (RFC 9700 section 4.14.2). Nobody can end a family by its public id alone.
//
// The package does not know users, roles or HTTP: who calls checks that Session.Origin is the site at hand and that the
// user may still sign in.
package session
