package caddymodule

import (
	"context"
	"runtime/debug"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// showStatus answers `caddy authgate status`.
func showStatus(ctx context.Context, realm *gateway.Realm, _ struct{}) (command.Status, error) {
	parts := realm.Status(ctx)
	s := command.Status{Leaving: realm.Leaving != nil && realm.Leaving(), Version: version()}
	s.Ready = parts.Err() == nil && !s.Leaving
	s.Signing, s.Keys = realm.SigningKeys()
	for _, p := range parts {
		s.Parts = append(s.Parts, command.Part{Name: p.Name, State: string(p.State), Seconds: p.Took.Seconds(), Detail: p.Detail})
	}
	return s, nil
}

// module is where this is published.
const module = "github.com/caddy-authgate/authgate"

// version is that of this module in the program, "(devel)" in one that was built in a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Path == module {
		return info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return "unknown"
}
