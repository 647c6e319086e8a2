// Package policy holds the rules of a site: who may do what.
//
// A backend is protected by what it understands, not by what the gateway understands. So a request is judged under every
// reading that a backend might give its path (see readings.go), and is let through only where the rules allow every one
// of them. Doubt refuses: a path with more readings than are sensible to judge is refused as having none.
//
// The package promises that
//
//   - of the rules that name a path, the first whose method and client address fit decides; where rules name it and none
//     fits, everybody is refused; where no rule names it, any signed-in user may;
//   - Compile refuses rules that cannot mean what they say, and rules that can never decide anything;
//   - a Policy never changes, may be used from many goroutines, and judges plain paths without allocating.
//
// It does not know cookies, tokens or HTTP; who a request is (the identity) and which client it comes from are the
// caller's to establish. It does not know what a backend makes of a name after reading it: extensions, short file names
// and characters that merely look alike are different paths here.
package policy
