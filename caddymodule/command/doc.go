// Package command is `caddy authgate …`: what operators do with accounts, from the shell of the machine.
//
// A command asks the running Caddy over its admin endpoint and touches no store itself, so that what the gateways have
// cached is right at once and a store that only one process may open is no obstacle. Who may use the endpoint may do
// everything; see Caddy's option admin about that. The exceptions are for when Caddy is down: restore and migrate, and
// backup and invite where nobody answers.
//
// What it promises: names, ids and addresses travel in bodies and never in a URL, which logs keep; what people have
// chosen as names is shown without characters that could steer a terminal; answers are on standard output, for people or
// (--json) for programs, everything else is on standard error; and the exit code is 0 where it was done, 1 where it was
// not, 2 where there is no such user and 3 where Caddy cannot be reached.
//
// The types here are those of the endpoint's JSON, for both of its ends.
package command
