// Package chain tests wallets that are contracts on a real chain: go-ethereum itself, in this process, asked over HTTP as
// any other endpoint is. The wallets are those of Safe 1.4.1 as they are published, and small ones beside the vectors,
// good and hostile.
//
// It is a module of its own, so that what it takes to run a chain is not among what the gateway depends on. It needs the
// packages of ../e2e (`npm ci` there), for the contracts of Safe, and ../../../shared/vectors. Where the requirements of the
// gateway change, `go mod tidy` here follows them.
package chain
