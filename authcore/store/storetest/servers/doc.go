// Package servers starts the real servers that stores are tested against: PostgreSQL, and Redis as one server, as a
// Cluster and behind a Sentinel. They run on free ports, in a temporary folder, with nothing of the machine's own
// configuration, and are gone when the test, or its process in whatever way, has ended.
//
// Where the programs are not installed the test is skipped and says what to install, or fails where AUTHGATE_FULL is 1.
// It is for tests on Unix alone, and knows nothing of what the stores do.
package servers
