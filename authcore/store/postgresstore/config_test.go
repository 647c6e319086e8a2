package postgresstore_test

import (
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
)

// Attack: somebody between gateway and database refuses TLS, so that both go on in the clear. Whoever writes no sslmode has
// to decide, but for a database on this machine.
func TestTLSCannotBeSwitchedOff(t *testing.T) {
	for _, tt := range []struct {
		dsn  string
		good bool
	}{
		{"postgres://a:b@db.example.com/gate", false},
		{"postgres://a:b@db.example.com/gate?sslmode=prefer", false},
		{"postgres://a:b@db.example.com/gate?sslmode=allow", false},
		{"postgres://a:b@192.0.2.1/gate", false},
		{"postgres://a:b@localhost,db.example.com/gate", false},
		{"host=db.example.com user=a password=b", false},
		{"postgres://a:b@db.example.com/gate?sslmode=disable", true},
		{"postgres://a:b@db.example.com/gate?sslmode=require", true},
		{"postgres://a:b@one.example.com,two.example.com/gate?sslmode=require", true},
		{"postgres://a:b@localhost/gate", true},
		{"postgres://a:b@[::1]/gate?sslmode=prefer", true},
		{"host=/run/postgresql user=a", true},
	} {
		err := postgresstore.Config{DSN: tt.dsn}.Validate()
		if (err == nil) != tt.good || err != nil && !strings.Contains(err.Error(), "sslmode=verify-full") {
			t.Errorf("%s: %v", tt.dsn, err)
		}
	}
}
