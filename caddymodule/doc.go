// Package caddymodule is Authgate as a Caddy module: the app authgate (stores, sessions and sign-in, shared by all
// sites), the handler http.handlers.authgate (one protected site) and the guest modules by which stores are chosen.
//
// It translates and decides nothing: the Caddyfile becomes a configuration of package gateway, a refusal of the gateway
// becomes an error of Caddy, so that handle_errors works, and what must outlive a reload (open stores, unanswered
// challenges, counted attempts, ended sessions) is kept in a pool that the configurations share.
//
// What it promises beside that:
//
//   - All that can be checked without the store is checked while the Caddyfile is parsed, and the error names file and
//     line. Validating a configuration opens nothing and writes nothing.
//   - A first start whose store cannot be opened serves 503 and opens by itself later; a reload that names such a store
//     is refused and the running configuration stays.
//
// It does not read the Host of a request to learn its origin, and it adds no second way to configure the gateway: JSON
// and Caddyfile have the same options.
//
// Other stores are guest modules too; see [Store] and [ChallengeStore] for the contracts, and [Scoped], [Accessed],
// [Existing] and [NoticeCarrier] for what some of them tell besides.
package caddymodule
