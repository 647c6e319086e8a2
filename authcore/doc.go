// Package authcore holds the words and contracts of Authgate: users, credentials, challenges, sessions, attempts, keys,
// identities and the interfaces that a store fulfils.
//
// It imports the standard library only. The mechanisms below it (wallet, session, token, policy, …) and the stores
// (store/…) build on these words and never import each other; package gateway ties them together.
//
// What every store promises, beside what each interface says:
//
//   - It has no clock. Time is an argument ("now"), so that one clock decides and no test sleeps.
//   - What it acknowledged, it keeps: a method that returned nil has made its change durable, as far as the store is a
//     durable one.
//   - A store that cannot be reached, or cannot tell, answers an error for which errors.Is(err, ErrUnavailable) holds. It
//     never answers "not found" because it is down.
//   - Values that come back are the caller's own; changing them does not change the store.
//   - All methods may be called from many goroutines at once.
package authcore
