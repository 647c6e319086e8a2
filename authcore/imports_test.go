package authcore

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/caddy-authgate/authgate/"

var (
	mechanisms = []string{
		"authcore/wallet", "authcore/keysign", "authcore/passkey", "authcore/password", "authcore/session", "authcore/token", "authcore/policy",
	}
	stores = []string{
		"authcore/store/memstore", "authcore/store/redisstore", "authcore/store/sqlstore", "authcore/store/sqlitestore",
		"authcore/store/postgresstore",
	}
)

// imports is what a package may import beside the standard library.
type imports struct {
	own     []string // packages of this module
	http    bool     // net/http and what is below it
	caddy   bool     // Caddy
	foreign bool     // other modules
}

// table is who may import whom. Arrows go down only: cmd, caddymodule, the gateway with mail and the stores, the
// mechanisms, the words. Mechanisms and stores know the words and not each other, so each can be read, tested and
// replaced alone; and nothing of authcore knows Caddy, so that the gateway works in any Go server.
var table = buildTable()

func buildTable() map[string]imports {
	words := []string{"authcore"}
	t := map[string]imports{
		"authcore":                         {},
		"authcore/mail":                    {own: words, foreign: true},
		"authcore/store/storetest":         {own: words},
		"authcore/store/storetest/servers": {}, // real servers for tests
		"authcore/passkey/passkeytest":     {}, // an authenticator for tests; knows nothing of the house
		"authcore/gateway":                 {own: slices.Concat(words, mechanisms), http: true, foreign: true},
		"caddymodule": {
			own:  slices.Concat(words, mechanisms, stores, []string{"authcore/gateway", "authcore/mail", "caddymodule/check", "caddymodule/command", "caddymodule/pages"}),
			http: true, caddy: true, foreign: true,
		},
		"caddymodule/pages":     {own: []string{"authcore", "authcore/gateway"}, http: true, foreign: true},
		"caddymodule/check":     {own: []string{"authcore/gateway", "authcore/keysign", "authcore/wallet"}, caddy: true}, // what sites tell backends, and what grants name
		"caddymodule/command":   {own: []string{"caddymodule/check"}, http: true, caddy: true, foreign: true},            // talks to the admin endpoint
		"caddymodule/cmd/caddy": {own: []string{"caddymodule"}, caddy: true},
		"caddymodule/cmd/build": {},
		"caddymodule/endtoend":  {}, // tests only
	}
	for _, p := range slices.Concat(mechanisms, stores) {
		t[p] = imports{own: words, foreign: true}
	}
	t["authcore/wallet"] = imports{own: words, http: true, foreign: true} // as a client of chains, of its own
	for _, p := range []string{"authcore/store/sqlitestore", "authcore/store/postgresstore"} {
		t[p] = imports{own: []string{"authcore", "authcore/store/sqlstore"}, foreign: true}
	}
	return t
}

// refuse says why a file of package pkg must not import what it imports, or nothing. Tests may import more, as they
// stand above what they test; but no test of authcore needs Caddy.
func refuse(pkg, imported string, test bool) string {
	row, known := table[pkg]
	if !known {
		return "the package stands in no row of the table"
	}
	own, isOwn := strings.CutPrefix(imported, module)
	host, _, _ := strings.Cut(imported, "/")
	isForeign := !isOwn && strings.Contains(host, ".")
	isCaddy := strings.HasPrefix(imported, "github.com/caddyserver/") || isOwn && strings.HasPrefix(own+"/", "caddymodule/")
	isHTTP := strings.HasPrefix(imported+"/", "net/http/")
	inCore := strings.HasPrefix(pkg+"/", "authcore/")
	switch {
	case isCaddy && inCore:
		return "nothing of authcore knows Caddy"
	case test:
		return ""
	case isOwn && !slices.Contains(row.own, own):
		return "not in its row"
	case isForeign && strings.HasPrefix(imported, "github.com/caddyserver/"):
		if !row.caddy {
			return "only the adapter knows Caddy"
		}
	case isForeign && !row.foreign:
		return "the standard library only"
	case isHTTP && !row.http:
		return "not a package that speaks HTTP"
	}
	return ""
}

func TestImports(t *testing.T) {
	root := ".."
	files := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			// testdata is no part of the build; what stands there is checked by what uses it.
			if name != root && (strings.HasPrefix(base, ".") || base == "vendor" || base == "testdata" || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		if _, known := table[path.Dir(rel)]; !known {
			t.Errorf("%s: the package stands in no row of the table", rel)
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := refuse(path.Dir(rel), imported, strings.HasSuffix(rel, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", rel, imported, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Errorf("only %d files were read", files)
	}
}

// The table does refuse.
func TestImportsRefuse(t *testing.T) {
	const caddy = "github.com/caddyserver/caddy/v2"
	for _, c := range []struct {
		name, pkg, imported string
		test, ok            bool
	}{
		{"words: standard library", "authcore", "crypto/sha256", false, true},
		{"words: a module", "authcore", "golang.org/x/text/cases", false, false},
		{"words: a mechanism", "authcore", module + "authcore/wallet", false, false},
		{"words: HTTP", "authcore", "net/http", false, false},
		{"mechanism: words", "authcore/wallet", module + "authcore", false, true},
		{"mechanism: a module", "authcore/wallet", "github.com/ethereum/go-ethereum/crypto", false, true},
		{"mechanism: HTTP", "authcore/passkey", "net/http", false, false},
		{"mechanism: HTTP tests", "authcore/passkey", "net/http/httptest", false, false},
		{"wallet: chains", "authcore/wallet", "net/http", false, true},
		{"mechanism: another", "authcore/passkey", module + "authcore/session", false, false},
		{"mechanism: a store", "authcore/session", module + "authcore/store/memstore", false, false},
		{"mechanism: mail", "authcore/password", module + "authcore/mail", false, false},
		{"mechanism: the gateway", "authcore/token", module + "authcore/gateway", false, false},
		{"mechanism: Caddy", "authcore/policy", caddy, false, false},
		{"mechanism: the adapter", "authcore/policy", module + "caddymodule/pages", false, false},
		{"store: another", "authcore/store/redisstore", module + "authcore/store/memstore", false, false},
		{"store: shared SQL", "authcore/store/sqlitestore", module + "authcore/store/sqlstore", false, true},
		{"store: shared SQL", "authcore/store/postgresstore", module + "authcore/store/sqlstore", false, true},
		{"shared SQL: a store", "authcore/store/sqlstore", module + "authcore/store/sqlitestore", false, false},
		{"store: a mechanism", "authcore/store/memstore", module + "authcore/session", false, false},
		{"gateway: mechanisms", "authcore/gateway", module + "authcore/policy", false, true},
		{"gateway: HTTP", "authcore/gateway", "net/http", false, true},
		{"gateway: a store", "authcore/gateway", module + "authcore/store/memstore", false, false},
		{"gateway: Caddy", "authcore/gateway", caddy, false, false},
		{"pages: the gateway", "caddymodule/pages", module + "authcore/gateway", false, true},
		{"pages: Caddy", "caddymodule/pages", caddy, false, false},
		{"pages: the adapter", "caddymodule/pages", module + "caddymodule", false, false},
		{"adapter: Caddy", "caddymodule", caddy + "/modules/caddyhttp", false, true},
		{"adapter: a store", "caddymodule", module + "authcore/store/sqlitestore", false, true},
		{"adapter: the store tests", "caddymodule", module + "authcore/store/storetest", false, false},
		{"command: the adapter", "caddymodule/cmd/caddy", module + "caddymodule", false, true},
		{"command: the gateway", "caddymodule/cmd/caddy", module + "authcore/gateway", false, false},
		{"command: a module", "caddymodule/cmd/caddy", "golang.org/x/sync/errgroup", false, false},
		{"unknown package", "authcore/util", "strings", false, false},
		{"unknown package at the top", "internal", "strings", false, false},
		{"tests: a store", "authcore/session", module + "authcore/store/memstore", true, true},
		{"tests: HTTP", "authcore/mail", "net/http/httptest", true, true},
		{"tests of authcore: Caddy", "authcore/gateway", caddy, true, false},
		{"tests of authcore: the adapter", "authcore/gateway", module + "caddymodule", true, false},
		{"tests of authcore: certificates of Caddy", "authcore/mail", "github.com/caddyserver/certmagic", true, false},
		{"tests of the adapter: Caddy", "caddymodule/pages", caddy, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if why := refuse(c.pkg, c.imported, c.test); (why == "") != c.ok {
				t.Errorf("%s imports %s: %q", c.pkg, c.imported, why)
			}
		})
	}
}

// Nonces, keys and secrets that can be predicted are worth nothing: package math/rand only spreads retries over time, in the
// files named here, and what they draw from it is a duration.
func TestPredictableRandomnessOnlySpreadsRetries(t *testing.T) {
	spread := []string{
		"authcore/mail/worker.go", "authcore/wallet/breaker.go", "authcore/store/redisstore/breaker.go", "authcore/store/redisstore/notices.go",
		"authcore/store/sqlstore/run.go", "authcore/store/sqlstore/notices.go", "authcore/store/storetest/scale.go", // a test
	}
	seen := 0
	for _, root := range []string{"authcore", "caddymodule"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(file string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			seen++
			for _, i := range parsed.Imports {
				name := strings.TrimPrefix(filepath.ToSlash(file), "../")
				if strings.Contains(i.Path.Value, `"math/rand`) && !slices.Contains(spread, name) {
					t.Errorf("%s imports %s", name, i.Path.Value)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 100 {
		t.Fatalf("saw only %d files", seen)
	}
}
