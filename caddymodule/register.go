package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-authgate/authgate/caddymodule/command"
)

func init() {
	caddy.RegisterModule(new(Admin))
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(new(Handler))
	caddy.RegisterModule(new(SQLiteStore))
	caddy.RegisterModule(new(PostgresStore))
	caddy.RegisterModule(new(MemoryChallengeStore))
	caddy.RegisterModule(new(SQLChallengeStore))
	caddy.RegisterModule(new(RedisChallengeStore))

	command.Register(backups{})

	httpcaddyfile.RegisterGlobalOption("authgate", parseApp)
	httpcaddyfile.RegisterHandlerDirective("authgate", parseHandler)
	// After rewrites, so that the gate judges the path that the backend gets; before all that answers.
	httpcaddyfile.RegisterDirectiveOrder("authgate", httpcaddyfile.Before, "basic_auth")
}
