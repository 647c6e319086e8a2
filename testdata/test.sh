#!/usr/bin/env bash
# All that must hold before a change goes in, on a fresh Debian machine with Go: `bash testdata/test.sh`.
#
# What is missing (a C compiler for the race detector, Node.js, Chromium, PostgreSQL, Redis, nginx, HAProxy) is installed from Debian, the
# linters at the versions below through the Go module proxy, and the packages of the end-to-end suite through npm. Nothing
# is skipped: a skipped test fails the run. It stops at the first failure, and its last line says how many tests passed and
# failed.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly gofumpt=mvdan.cc/gofumpt@v0.12.0
readonly staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
readonly node_major=20 node_version=20.20.2 # the oldest that the suite runs on; what is fetched where Debian's is older
readonly fuzz_time=${FUZZ_TIME:-1s}

readonly cache=$PWD/.cache
readonly bin=$cache/bin counts=$cache/counts
mkdir -p "$bin"
: >"$counts"
export PATH=$bin:$PATH
current= began=0

# finish prints the last line, whatever happened.
finish() {
	local status=$?
	local passed failed
	passed=$(awk '{ n += $1 } END { print n + 0 }' "$counts")
	failed=$(awk '{ n += $2 } END { print n + 0 }' "$counts")
	if [ "$status" -ne 0 ]; then
		[ "$failed" -gt 0 ] || failed=1
		printf '\nFAILED: %s\n' "${current:-set-up}"
	else
		printf '\nall passed in %d s\n' "$SECONDS"
	fi
	printf '%d passed, %d failed\n' "$passed" "$failed"
	exit "$status"
}
trap finish EXIT

# step runs a command under a name and tells how long it took.
step() {
	current=$1
	shift
	began=$SECONDS
	printf '\n== %s\n' "$current"
	"$@" </dev/null
	printf -- '-- %s: %d s\n' "$current" $((SECONDS - began))
	current=
}

# debian installs packages; without root it needs sudo that asks nothing.
debian() {
	local root=()
	[ "$(id -u)" -eq 0 ] || root=(sudo -n)
	echo "installing $*"
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# debian_servers installs packages of servers without letting Debian start any: tests start their own.
debian_servers() {
	local root=() policy=/usr/sbin/policy-rc.d ours=
	[ "$(id -u)" -eq 0 ] || root=(sudo -n)
	if [ ! -e "$policy" ]; then
		ours=yes
		printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
		"${root[@]}" chmod 755 "$policy"
	fi
	local status=0
	debian "$@" || status=$?
	[ -z "$ours" ] || "${root[@]}" rm -f "$policy"
	return "$status"
}

have() { command -v "$1" >/dev/null; }

node_is_new_enough() { have node && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge "$node_major" ]; }

set_up() {
	local missing=()
	have gcc || missing+=(gcc libc6-dev)
	have git || missing+=(git)
	[ -n "${CHROMIUM:-}" ] || have chromium || missing+=(chromium)
	have npm || missing+=(nodejs npm)
	have openssl || missing+=(openssl)
	/usr/bin/python3 -c 'import jwt, cryptography' 2>/dev/null || missing+=(python3-jwt python3-cryptography)
	have curl || missing+=(curl ca-certificates)
	have nghttp && have h2load || missing+=(nghttp2-client)
	[ "${#missing[@]}" -eq 0 ] || debian "${missing[@]}"
	missing=()
	have redis-server || missing+=(redis-server)
	have radicale || missing+=(radicale)
	have mosquitto || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
	have nginx || [ -x /usr/sbin/nginx ] || missing+=(nginx)
	have haproxy || [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
	have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
	[ "${#missing[@]}" -eq 0 ] || debian_servers "${missing[@]}"
	if ! node_is_new_enough; then
		local arch=x64
		[ "$(uname -m)" != aarch64 ] || arch=arm64
		npm install --loglevel=error --no-save --prefix "$cache/node" "node-linux-$arch@$node_version"
		ln -sf "$cache/node/node_modules/node-linux-$arch/bin/node" "$bin/node"
		hash -r
		node_is_new_enough
	fi
	GOBIN=$bin go install "$gofumpt"
	GOBIN=$bin go install "$staticcheck"
	npm ci --loglevel=error --prefix testdata/e2e
	echo "$(go version), node $(node --version)"
}

formatted() {
	local unformatted
	unformatted=$(gofumpt -l authcore caddymodule testdata/chain)
	[ -z "$unformatted" ] || { printf 'not gofumpt-clean:\n%s\n' "$unformatted"; return 1; }
}

# go_tests runs all Go tests; what they print of successes is left out, of failures not.
go_tests() (
	# The second instance of the program, under test in caddymodule/endtoend, is built with the race detector too.
	export AUTHGATE_FULL=1
	set +o pipefail # whether it failed is said by what reads the results
	go test -race -timeout 25m -json ./... | node testdata/gotest.mjs "$counts" test -race -timeout 25m
)

# chain_tests runs what needs a chain of go-ethereum, in a module of its own; where the requirements of the gateway changed,
# `go mod tidy` there follows. All of it with the race detector, so that go-ethereum is compiled once.
chain_tests() (
	[ -d ../shared/vectors ] || { echo 'it needs ../shared/vectors, which is not there'; return; }
	cd testdata/chain
	export GOFLAGS=-race
	go vet ./...
	staticcheck ./...
	go test -json -bench . -benchtime 1x ./... | node ../gotest.mjs "$counts" test
)

# benchmarks runs each once, to see that it works; one that was skipped fails the run, but for want of a kernel that counts
# the time of threads.
benchmarks() {
	AUTHGATE_BENCH_ROUNDS=12 go test -run '^$' -bench . -benchtime 1x ./caddymodule/... ./authcore/... | tee "$cache/bench.log"
	local skipped excused
	skipped=$(grep -c -e '--- SKIP' "$cache/bench.log" || true)
	excused=$(grep -c 'counts CPU time by thread' "$cache/bench.log" || true)
	[ "$skipped" -eq "$excused" ] || { grep -A1 -e '--- SKIP' "$cache/bench.log"; return 1; }
}

# fuzz_target lets one fuzz target look for new inputs for a moment; its seeds ran with the tests. That the moment was over
# while an input was tried is no failure of the target, though Go may call it one: then it has another.
fuzz_target() {
	local fuzzing=(go test -run '^$' -fuzz "^$2\$" -fuzztime "$fuzz_time" "$1")
	"${fuzzing[@]}" >"$cache/fuzz.log" 2>&1 </dev/null && return
	! grep -q 'Failing input' "$cache/fuzz.log" && grep -q 'context deadline exceeded' "$cache/fuzz.log" &&
		"${fuzzing[@]}" >"$cache/fuzz.log" 2>&1 </dev/null
}

# fuzz runs all fuzz targets.
fuzz() {
	local package name
	while IFS=: read -r file _ name; do
		package=./$(dirname "$file")
		name=${name#func }
		name=${name%%(*}
		fuzz_target "$package" "$name" ||
			{ cat "$cache/fuzz.log"; echo "0 1" >>"$counts"; return 1; }
		echo "$package $name: $(grep -c '^fuzz: elapsed' "$cache/fuzz.log") reports, no failure"
		echo "1 0" >>"$counts"
	done < <(grep -rn '^func Fuzz' --include='*_test.go' authcore caddymodule)
}

# node_tests runs Node suites, so many files at a time, against the built binary: the API by viem, the pages in Chromium.
node_tests() {
	AUTHGATE_BINARY=$cache/caddy node --test --test-concurrency="$1" --test-timeout=1500000 \
		--test-reporter=spec --test-reporter-destination=stdout \
		--test-reporter=tap --test-reporter-destination="$cache/node.tap" "${@:2}"
}

# counted prints what a report of Node counts of these kinds.
counted() { awk -v kinds=" $* " '$1 == "#" && index(kinds, " " $2 " ") { n += $3 } END { print n + 0 }' "$cache/node.tap"; }

# end_to_end runs all Node suites. Browsers depend on when the machine lets them run: one or two files in which something
# failed are run once more, each by itself, and told.
end_to_end() {
	local failing status=0
	node_tests 2 testdata/e2e/*.test.mjs || status=$?
	# Only where the vectors are not there may what needs them be skipped.
	[ "$(counted todo)" -eq 0 ] || { echo 'a node test is still to do'; return 1; }
	[ "$(counted skipped)" -eq 0 ] || [ ! -d ../shared/vectors ] || { echo 'a node test was skipped'; return 1; }
	[ "$(counted pass)" -gt 0 ] || { echo 'no node test ran'; return 1; }
	if [ "$status" -ne 0 ]; then
		mapfile -t failing < <(awk -F"'" '/^ *(not )?ok / { bad = /^ *not / } bad && /^ *location: / { sub(/:[0-9]+:[0-9]+$/, "", $2); print $2 }' "$cache/node.tap" | sort -u)
		if [ "${#failing[@]}" -ge 1 ] && [ "${#failing[@]}" -le 2 ]; then
			echo "once more, by themselves: ${failing[*]}"
			echo "$(counted pass) 0" >>"$counts"
			status=0
			node_tests 1 "${failing[@]}" || status=$?
			[ "$status" -ne 0 ] || { echo "failed, and passed when it was run again: ${failing[*]}"; return; }
		fi
	fi
	echo "$(counted pass) $(counted fail cancelled)" >>"$counts"
	return "$status"
}

step 'set up' set_up
step 'format' formatted
step 'vet' go vet ./...
step 'staticcheck' staticcheck ./...
step 'build without cgo' env CGO_ENABLED=0 go build -o "$cache/caddy" ./caddymodule/cmd/caddy
step 'build what xcaddy.json says' go run ./caddymodule/cmd/build
step 'Go tests, race detector on' go_tests
step 'contract wallets on a chain, race detector on' chain_tests
step 'benchmarks, once each' benchmarks
step 'fuzz' fuzz
step 'end to end: API and pages' end_to_end
