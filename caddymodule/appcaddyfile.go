package caddymodule

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-authgate/authgate/authcore/keysign"
)

// parseApp reads the global option.
func parseApp(d *caddyfile.Dispenser, before any) (any, error) {
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	if before != nil {
		d.Reset()
		d.Next()
		return nil, d.Errf("the global option authgate stands twice; put both into one block")
	}
	return httpcaddyfile.App{Name: "authgate", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the global option:
//
//	authgate {
//		store           sqlite [<file>] | postgres <dsn> {
//			max_open <connections>
//			max_idle <connections>
//			idle_for <duration>
//			lifetime <duration>
//			timeout  <duration>
//		}
//		challenge_store memory | sql | redis <url>... {
//			sentinel    <master> {
//				username <name>
//				password <password>
//			}
//			cluster
//			prefix      <prefix>
//			ca          <file>
//			server_name <name>
//		}
//		registration    invite | open
//		grant           <role> <address or e-mail>...
//		grant           <role> nft | token <chain-id> <contract> [min <n>]
//		grant           <role> ens <name>
//		session {
//			idle          <duration>
//			absolute      <duration>
//			access_token  <duration>
//			refresh_token <duration>
//			fresh         <duration>
//		}
//		wallet {
//			statement     <text>
//			challenge_ttl <duration>
//			chains        <chain-id>...
//			rpc           <chain-id> <url>...
//			rpc_proxy     environment | off
//			factory       <address>...
//			recheck       <duration>
//			roles_ttl     <duration>
//			solana        mainnet | testnet | devnet | off
//		}
//		wallet     off
//		keys       <kind>... | off
//		passkey {
//			rp_id             <domain>
//			rp_name           <name>
//			user_verification required | preferred
//			attestation       none | direct
//			synced            allow | forbid
//			aaguid            allow | refuse <AAGUID>...
//			related_origins   <origin>...
//			challenge_ttl     <duration>
//		}
//		passkey    off
//		password {
//			min_length  <characters>
//			max_length  <bytes>
//			lockout     <tries> <duration>
//			confirm_ttl <duration>
//			reset_ttl   <duration>
//		}
//		password   off
//		mail {
//			from      "<name> <address>"
//			smtp      <host:port> {
//				username <name>
//				password <password>
//				tls      starttls | implicit | off
//			}
//			templates <folder>
//		}
//		rate_limit <count> <duration> | off
//		audit {
//			retention <duration> | forever
//			events    on | off
//		}
//		brand {
//			name       <name>
//			logo       <file>
//			accent     <colour> [<colour in the dark>]
//			background <colour> [<colour in the dark>]
//			text       [<language>] <key> <text>
//		}
//	}
//
// See the fields of [App] for the meanings and defaults. Other names after store and challenge_store are those of guest
// modules in the namespaces authgate.stores and authgate.challenge_stores.
//
// Passwords are on where mail is configured; their options without mail are an error. In the options of mail and of
// the stores, placeholders such as {env.SMTP_PASSWORD} and {file./run/secrets/smtp} are replaced when the configuration is
// loaded.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	a.Source = position(d)
	if args := d.RemainingArgs(); len(args) > 0 {
		return d.Errf("unexpected %q: the global option authgate takes a block only", args[0])
	}
	var passwordAt *caddyfile.Dispenser
	err := parseBlock(d, "the global option authgate", []option{
		guestOption("store <backend>", "authgate.stores", &a.StoreRaw),
		guestOption("challenge_store <backend>", "authgate.challenge_stores", &a.ChallengeStoreRaw),
		textOption("registration invite | open", &a.Registration).checked(a.check),
		option{usage: "grant <role> <address or e-mail>... | nft <chain-id> <contract> [min <n>] | token <chain-id> <contract> [min <n>] | ens <name>", min: 2, max: -1, repeat: true, parse: a.parseGrant}.checked(a.check),
		option{usage: "session { <options> }", block: true, parse: a.parseSession}.checked(a.check),
		{usage: "wallet { <options> } | off", max: 1, block: true, parse: a.parseWallet},
		option{usage: "keys <kind>... | off", min: 1, max: -1, parse: a.parseKeys}.checked(a.check),
		{usage: "passkey { <options> } | off", max: 1, block: true, parse: a.parsePasskey},
		option{usage: "password { <options> } | off", max: 1, block: true, parse: a.parsePassword}.
			checked(func() error { return a.Password.check() }).notingPlace(&passwordAt),
		option{usage: "mail { <options> }", block: true, parse: a.parseMail}.checked(func() error { return a.Mail.checkComplete() }),
		option{usage: "rate_limit <count> <duration> | off", min: 1, max: 2, parse: a.parseRateLimit}.checked(a.check),
		option{usage: "audit { <options> }", block: true, parse: a.parseAudit}.checked(a.check),
		brandOption(&a.Brand),
	})
	if err != nil {
		return err
	}
	if err := a.checkMailed(); err != nil {
		return passwordAt.WrapErr(err)
	}
	if err := a.checkChainGrants(); err != nil {
		return err
	}
	return nil
}

// check makes a realm that nobody uses: so each option is checked by the gateway itself, at its line.
func (a *App) check() error {
	_, err := a.dryRealm()
	return err
}

func (a *App) parseSession(d *caddyfile.Dispenser, _ []string) error {
	return parseBlock(d, "session", []option{
		durationOption("idle", &a.Session.Idle),
		durationOption("absolute", &a.Session.Absolute),
		durationOption("access_token", &a.Session.AccessToken),
		durationOption("refresh_token", &a.Session.RefreshToken),
		durationOption("fresh", &a.Session.Fresh),
	})
}

func (a *App) parseWallet(d *caddyfile.Dispenser, args []string) error {
	if len(args) == 1 {
		if args[0] != "off" {
			return d.Errf("unknown %q; write: wallet off, or wallet and a block of options", args[0])
		}
		a.Wallet.Off = true
		if d.NextBlock(d.Nesting()) {
			return d.Errf("wallet is off and so has no options")
		}
		return nil
	}
	var factoryAt *caddyfile.Dispenser
	err := parseBlock(d, "wallet", []option{
		textOption(`statement "<text>"`, &a.Wallet.Statement).checked(a.check),
		durationOption("challenge_ttl", &a.Wallet.ChallengeTTL).checked(a.check),
		option{usage: "chains <chain-id>...", min: 1, max: -1, parse: a.parseChains}.checked(a.check),
		option{usage: "solana mainnet | testnet | devnet | off", min: 1, max: 1, parse: a.parseSolana}.checked(a.check),
		option{usage: "rpc <chain-id> <url>...", min: 2, max: -1, repeat: true, parse: a.parseRPC}.expanding().checked(a.check),
		{usage: "rpc_proxy environment | off", min: 1, max: 1, parse: a.parseRPCProxy},
		option{usage: "factory <address>...", min: 1, max: -1, repeat: true, parse: a.parseFactories}.checked(a.check).notingPlace(&factoryAt),
		durationOption("recheck", &a.Wallet.Recheck).checked(a.check),
		durationOption("roles_ttl", &a.Wallet.RolesTTL).checked(a.check),
	})
	if err != nil {
		return err
	}
	if err := a.checkFactories(); err != nil {
		return factoryAt.WrapErr(err)
	}
	return nil
}

func (a *App) parseSolana(_ *caddyfile.Dispenser, args []string) error {
	if args[0] != "off" {
		a.Wallet.Solana = args[0]
	}
	return nil
}

func (a *App) parseKeys(d *caddyfile.Dispenser, args []string) error {
	if slices.Contains(args, "off") {
		if len(args) > 1 {
			return d.Errf("keys are off and have kinds; write one of both")
		}
		return nil
	}
	for _, kind := range args {
		a.Keys = append(a.Keys, keysign.Kind(kind))
	}
	return nil
}

func (a *App) parseChains(d *caddyfile.Dispenser, args []string) error {
	for _, arg := range args {
		chain, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || slices.Contains(a.Wallet.Chains, chain) {
			return d.Errf("%q is no chain id, or stands twice; write for example: chains 1 10", arg)
		}
		a.Wallet.Chains = append(a.Wallet.Chains, chain)
	}
	return nil
}

func (a *App) parseRateLimit(d *caddyfile.Dispenser, args []string) (err error) {
	if len(args) == 1 {
		if args[0] != "off" {
			return d.Errf("unknown %q; write: rate_limit <count> <duration> | off", args[0])
		}
		a.RateLimit.Off = true
		return nil
	}
	if a.RateLimit.Count, err = strconv.Atoi(args[0]); err != nil || a.RateLimit.Count <= 0 {
		return d.Errf("%q is no number of requests, or less than 1; write for example: rate_limit 60 1m", args[0])
	}
	a.RateLimit.Window, err = parseDuration(d, args[1])
	return err
}

// guestOption is an option that names a guest module, to which the rest of the line and the block belong.
func guestOption(usage, namespace string, into *json.RawMessage) option {
	return option{usage: usage, parseGuest: func(d *caddyfile.Dispenser) error {
		option := d.Val()
		var known []string
		for _, module := range caddy.GetModules(namespace) {
			known = append(known, module.ID.Name())
		}
		if !d.NextArg() {
			return d.Errf("%s names no backend; known are: %s", option, strings.Join(known, ", "))
		}
		name := d.Val()
		if !slices.Contains(known, name) {
			return d.Errf("unknown %s %q; known are: %s", option, name, strings.Join(known, ", "))
		}
		guest, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
		if err != nil {
			return err
		}
		*into = caddyconfig.JSONModuleObject(guest, "backend", name, nil)
		return nil
	}}
}

var _ caddyfile.Unmarshaler = (*App)(nil)
