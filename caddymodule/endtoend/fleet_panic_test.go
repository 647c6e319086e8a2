package endtoend

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/caddymodule"
)

func init() { caddy.RegisterModule(panicking{}) }

// panicking is a challenge store that panics when it is to make a challenge: `challenge_store panicking`.
type panicking struct{}

func (panicking) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authgate.challenge_stores.panicking", New: func() caddy.Module { return new(panicking) }}
}

func (*panicking) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (panicking) StoreName() string { return "panicking" }

func (panicking) OpenChallengeStore(context.Context, caddymodule.OpenStore) (caddymodule.OpenChallengeStore, error) {
	stores := memstore.NewChallengeStores(memstore.ChallengesConfig{}, memstore.AttemptsConfig{})
	stores.Challenges = panickingChallenges{stores.Challenges}
	return caddymodule.OpenChallengeStore{ChallengeStores: stores}, nil
}

type panickingChallenges struct{ authcore.Challenges }

func (panickingChallenges) CreateChallenge(context.Context, authcore.Challenge, time.Time) error {
	panic("as a mistake in the code would")
}
