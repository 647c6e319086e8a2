package caddymodule_test

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/caddymodule"
)

// ForgetfulStore is a store of somebody else: it keeps accounts in memory, under a name, until Caddy ends.
type ForgetfulStore struct {
	Name string `json:"name,omitempty"`
}

func (*ForgetfulStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authgate.stores.forgetful", New: func() caddy.Module { return new(ForgetfulStore) }}
}

// UnmarshalCaddyfile reads what follows "store": forgetful <name>.
func (s *ForgetfulStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&s.Name) {
		return d.Errf("write: store forgetful <name>")
	}
	return nil
}

// StoreName tells this store from others, so that a reload finds it again.
func (s *ForgetfulStore) StoreName() string { return "forgetful " + s.Name }

// OpenStore is called when the store is first needed.
func (s *ForgetfulStore) OpenStore(context.Context) (caddymodule.OpenStore, error) {
	store := memstore.New()
	challenges := store.ChallengeStores()
	return caddymodule.OpenStore{Stores: store.Stores(), Challenges: &challenges}, nil
}

var _ caddymodule.Store = (*ForgetfulStore)(nil)

// A store of one's own is a guest module: registered in an init function of its package, chosen in the Caddyfile.
func Example() {
	caddy.RegisterModule(new(ForgetfulStore))

	const config = `{
	authgate {
		store forgetful demo
		challenge_store sql
	}
}

app.example.com {
	authgate
	reverse_proxy 127.0.0.1:3000
}
`
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	fmt.Println(err)
	// Output: <nil>
}
