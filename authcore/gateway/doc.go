// Package gateway is the door: a handler in front of a backend that lets through what the rules of a site allow, tells
// the backend who it is from, and answers the routes by which people and programs sign in.
//
// A Realm is what sites on one store have in common: accounts, sessions, signing keys and the ways to sign in. A Gateway
// is the door of one Site, an origin with its rules. Handle does the work for servers with error routes of their own;
// Handler is the same as an ordinary http.Handler.
//
// It promises that
//
//   - nothing reaches the backend without a positive decision, and what fails is refused, never let through;
//   - no client can set or spell an identity header, read the gateway's cookie at the backend or have a backend set it;
//   - who is signed in is told from the access token alone, without a store, in all but the first request of a few
//     minutes, and stays signed in for as long while the store is down;
//   - state-changing routes take no request from another origin, and tell nothing internal when they refuse;
//   - what is mailed waits sealed in the outbox, links name the configured origin, with their key in the fragment, and
//     opening one changes nothing.
//
// It does not rewrite requests beyond that, keeps no state that a store could keep, and makes no decision from a
// client's Host header: the origin is configured.
package gateway
