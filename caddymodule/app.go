package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/mail"
	"github.com/caddy-authgate/authgate/caddymodule/pages"
)

// App is what all sites share: who has an account, which sign-ins are open, how one signs in.
type App struct {
	// Where the global option is written, "Caddyfile:2", for errors.
	Source string `json:"source,omitempty"`
	// Where accounts, sessions and keys are kept. Default: sqlite.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=authgate.stores inline_key=backend"`
	// Where unanswered challenges and counted attempts are kept. Default: memory.
	ChallengeStoreRaw json.RawMessage `json:"challenge_store,omitempty" caddy:"namespace=authgate.challenge_stores inline_key=backend"`
	// Who may create an account: "invite" (whose wallet or e-mail address is granted a role) or "open". Default: invite.
	Registration string `json:"registration,omitempty"`
	// Roles given in the configuration.
	Grants []Grant `json:"grants,omitempty"`
	// How long sign-ins last.
	Session SessionOptions `json:"session,omitzero"`
	// Sign-in with an Ethereum wallet. It is on by default.
	Wallet WalletOptions `json:"wallet,omitzero"`
	// Kinds of plain keys with which programs may sign in: "ed25519" and "ml-dsa-65". Default: none.
	Keys []keysign.Kind `json:"keys,omitempty"`
	// Passkeys. They are on by default, on sites whose origin can have them.
	Passkey *PasskeyOptions `json:"passkey,omitempty"`
	// Sign-in with an e-mail address and a password. It is on where mail is configured.
	Password *PasswordOptions `json:"password,omitempty"`
	// How mail is sent. Default: none is.
	Mail *MailOptions `json:"mail,omitempty"`
	// Bound on the requests that begin or finish a sign-in, per client.
	RateLimit RateLimitOptions `json:"rate_limit,omitzero"`
	// The audit log.
	Audit AuditOptions `json:"audit,omitzero"`
	// How the pages look and what they say.
	Brand *Brand `json:"brand,omitempty"`

	ctx                 caddy.Context
	logger              *slog.Logger
	accounts            *opening[OpenStore]
	challenges          *opening[OpenChallengeStore]
	noticesByChallenges bool // see NoticeCarrier
	realm               *gateway.Realm
	pages               *pages.Pages // of sites without a brand of their own
	visits              *visits
	release             []func() error
	worker              *mail.Worker // nil: no mail is sent
	loaded              string       // hash of the configuration
	auditLog            *zap.Logger
	events              *caddyevents.App // nil: events are not emitted
	emitting            chan authcore.Event
	working             sync.WaitGroup

	// While a Caddyfile is read:
	chainGrants []chainGrantAt
	unasked     []uint64 // chains of which the endpoints may come yet
}

// Grant gives a role to people by their wallets and confirmed e-mail addresses.
type Grant struct {
	// Where the grant was written, "Caddyfile:12", for warnings.
	Source string `json:"source,omitempty"`
	// The role.
	Role string `json:"role"`
	// Wallet addresses, keys and e-mail addresses; or what a wallet must have on a chain, word by word: "nft" or "token",
	// the chain id, the contract, and "min" and a number where that is asked for; or "ens" and a name.
	To []string `json:"to"`
}

// SessionOptions are how long sign-ins last.
type SessionOptions struct {
	// How long a session lives without use. Default: 12h.
	Idle caddy.Duration `json:"idle,omitempty"`
	// How long a session lives at most. Default: 7d.
	Absolute caddy.Duration `json:"absolute,omitempty"`
	// How long an access token is good. Default: 5m.
	AccessToken caddy.Duration `json:"access_token,omitempty"`
	// How long a refresh token is good. Default: 24h.
	RefreshToken caddy.Duration `json:"refresh_token,omitempty"`
	// How new a sign-in must be to change credentials. Default: 5m.
	Fresh caddy.Duration `json:"fresh,omitempty"`
}

// WalletOptions configure sign-in with an Ethereum wallet.
type WalletOptions struct {
	// Switches it off.
	Off bool `json:"off,omitempty"`
	// The sentence that the wallet shows. Default: "Sign in."
	Statement string `json:"statement,omitempty"`
	// How long a challenge may be answered. Default: 60s.
	ChallengeTTL caddy.Duration `json:"challenge_ttl,omitempty"`
	// Chain ids that are accepted. Default: any.
	Chains []uint64 `json:"chains,omitempty"`
	// The URLs of JSON-RPC endpoints by chain id: https, or http to this machine. Wallets that are contracts of these chains
	// can sign in; of two or more endpoints for a chain two must say the same. Placeholders are replaced when the
	// configuration is loaded. Default: none, so that only wallets that are keys can sign in.
	RPC map[uint64][]string `json:"rpc,omitempty"`
	// Whether the endpoints are reached by the proxy that the environment names (HTTPS_PROXY). Default: directly.
	RPCProxy bool `json:"rpc_proxy,omitempty"`
	// The factories of contract wallets that can sign in before they are deployed. Default: none.
	Factories []string `json:"factories,omitempty"`
	// How often the contract wallet of a session is asked again whether it still says yes. Default: 1h.
	Recheck caddy.Duration `json:"recheck,omitempty"`
	// How old what a chain says for a role may be. Default: 10m.
	RolesTTL caddy.Duration `json:"roles_ttl,omitempty"`
	// The cluster ("mainnet", "testnet" or "devnet") whose Solana wallets sign in too. Default: they do not.
	Solana string `json:"solana,omitempty"`
}

// PasskeyOptions configure passkeys (WebAuthn). Where they are configured, a site whose origin cannot have any is an error,
// unless it names its sign-in methods without them.
type PasskeyOptions struct {
	// Switches them off.
	Off bool `json:"off,omitempty"`
	// The domain that passkeys belong to: the host of each site, or one above it. Default: each site's own host. Passkeys
	// stay with the domain they were made for.
	RPID string `json:"rp_id,omitempty"`
	// What some browsers show beside it, and the product's name in mails. Default: the domain; in mails the site's host.
	RPName string `json:"rp_name,omitempty"`
	// Whether the authenticator must verify its user by PIN or biometrics: "required" or "preferred". Default: required.
	UserVerification string `json:"user_verification,omitempty"`
	// Whether authenticators are asked what model they are: "none" or "direct". Default: none.
	Attestation string `json:"attestation,omitempty"`
	// Passkeys that can be on several devices: "allow" or "forbid". Default: allow.
	Synced string `json:"synced,omitempty"`
	// Models of authenticators (AAGUIDs) that may be used. Default: any.
	AllowAAGUIDs []string `json:"allow_aaguids,omitempty"`
	// Models of authenticators (AAGUIDs) that may not be used.
	RefuseAAGUIDs []string `json:"refuse_aaguids,omitempty"`
	// Origins of sites that use the passkeys of rp_id without being below it.
	RelatedOrigins []string `json:"related_origins,omitempty"`
	// How long the browser may take. Default: 5m.
	ChallengeTTL caddy.Duration `json:"challenge_ttl,omitempty"`
}

// RateLimitOptions bound the requests that begin or finish a sign-in, per client address (/64 for IPv6).
type RateLimitOptions struct {
	// Switches it off.
	Off bool `json:"off,omitempty"`
	// How many requests. Default: 60.
	Count int `json:"count,omitempty"`
	// In which time. Default: 1m.
	Window caddy.Duration `json:"window,omitempty"`
}

// CaddyModule names the module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authgate", New: func() caddy.Module { return new(App) }}
}

// pool keeps what outlives a reload.
var pool = caddy.NewUsagePool()

// poolKey is by what a thing in the pool is known; kinds keep apart stores, challenge stores, states and hashers.
type poolKey struct{ kind, name string }

// Provision makes the realm. A first start, and "caddy validate", open no store here. A reload does, and is refused where
// that fails, so that the running configuration stays: here and not in Start, since by then the servers of the refused
// configuration may answer requests already.
func (a *App) Provision(ctx caddy.Context) error { return at(a.Source, a.provision(ctx)) }

func (a *App) provision(ctx caddy.Context) error {
	a.ctx, a.logger, a.visits = ctx, ctx.Slogger(), newVisits()
	if err := counted.register(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	var err error
	if a.loaded, err = a.hash(); err != nil {
		return err
	}
	name, err := a.provisionStores(ctx)
	if err != nil {
		return err
	}
	state, _ := pool.LoadOrStore(poolKey{"state", name}, gateway.NewState())
	a.released(poolKey{"state", name})

	config, err := a.realmConfig()
	if err != nil {
		return err
	}
	if a.pages, err = a.Brand.pages(); err != nil {
		return err
	}
	if err := a.addContracts(config.Wallet); err != nil {
		return err
	}
	config.Stores = lazyAccounts{a.accounts, counted}.stores()
	config.Challenges = lazyChallenges{a.challenges, counted, a.noticesByChallenges}.stores()
	if err := a.provisionMail(&config); err != nil {
		return err
	}
	config.State = state.(*gateway.State)
	over := counted.ops.states.use(config.State)
	a.release = append(a.release, func() error { over(); return nil })
	config.ClientIP = clientIP
	config.RequestURI = requestURI
	config.RequestID = requestID
	config.TrustedProxy = trustedProxy
	config.Leaving = caddy.Exiting
	config.Traffic, config.Traced = counted.ops, traced
	if config.Observer, err = a.provisionAudit(); err != nil {
		return err
	}
	config.Logger = a.logger
	if a.realm, err = gateway.NewRealm(config); err != nil {
		return err
	}
	a.warnUnheld()
	if reload := caddy.ActiveContext().Context != nil; reload {
		if err := a.ready(); err != nil {
			return fmt.Errorf("a store of the new configuration cannot be used: %w", err)
		}
	}
	return nil
}

// realmConfig is the part of the configuration that the options are about.
func (a *App) realmConfig() (gateway.RealmConfig, error) {
	config := gateway.RealmConfig{
		Idle:         time.Duration(a.Session.Idle),
		Absolute:     time.Duration(a.Session.Absolute),
		AccessToken:  time.Duration(a.Session.AccessToken),
		RefreshToken: time.Duration(a.Session.RefreshToken),
		Fresh:        time.Duration(a.Session.Fresh),
		RateLimit: gateway.RateLimit{
			Off: a.RateLimit.Off, Count: a.RateLimit.Count, Window: time.Duration(a.RateLimit.Window),
		},
	}
	switch a.Registration {
	case "", "invite":
	case "open":
		config.OpenRegistration = true
	default:
		return config, fmt.Errorf("registration %q is not known; write: registration invite | open", a.Registration)
	}
	for _, g := range a.Grants {
		config.Grants = append(config.Grants, gateway.Grant{Role: g.Role, To: g.To})
	}
	if !a.Wallet.Off {
		config.Wallet = &gateway.WalletConfig{
			Statement: a.Wallet.Statement, ChallengeTTL: time.Duration(a.Wallet.ChallengeTTL), Chains: a.Wallet.Chains,
			Solana: a.Wallet.Solana, Recheck: time.Duration(a.Wallet.Recheck), RolesTTL: time.Duration(a.Wallet.RolesTTL),
		}
	}
	config.Keys = a.Keys
	var err error
	if config.KeepEvents, err = a.Audit.keep(); err != nil {
		return config, err
	}
	config.Passkey, err = a.Passkey.config()
	a.addMailed(&config)
	return config, err
}

// dryRealm is a realm of these options that nobody uses, on stores that are never opened: making it checks the options.
func (a *App) dryRealm() (*gateway.Realm, error) {
	config, err := a.realmConfig()
	if err != nil {
		return nil, err
	}
	if config.Wallet != nil {
		if config.Wallet.Contracts, err = a.dryContracts(); err != nil {
			return nil, err
		}
	}
	config.Stores = lazyAccounts{}.stores()
	config.Challenges = lazyChallenges{}.stores()
	return gateway.NewRealm(config)
}

// Start opens the stores where a first start finds them. It has no configuration to fall back to, so it begins closed where
// it does not, and opens when it can.
//
// Sending mails and hearing other instances begin at once: each needs one store only, and waits for that by itself.
func (a *App) Start() error {
	a.working.Go(a.work)
	a.working.Go(a.look)
	a.working.Go(a.sendMails)
	a.working.Go(a.sealEvents)
	if a.emitting != nil {
		a.working.Go(a.emitEvents)
	}
	a.working.Go(func() { a.realm.Listen(a.ctx) })
	return nil
}

// ready tries the stores, now and not only when the pause after a failure is over.
func (a *App) ready() error {
	a.accounts.retry()
	a.challenges.retry()
	ctx, cancel := context.WithTimeout(a.ctx, openTimeout)
	defer cancel()
	return a.realm.Ready(ctx)
}

// work opens the stores and then cleans them now and then, until the configuration ends.
func (a *App) work() {
	for pause := minOpenPause; ; pause = min(2*pause, maxOpenPause) {
		err := a.ready()
		if err == nil {
			break
		}
		if a.ctx.Err() != nil {
			return
		}
		a.logger.Error("stores are not ready; sign-in answers 503 until they are", "error", err, "again_in", pause)
		select {
		case <-a.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
	a.logger.Debug("stores are ready")
	a.noteLoaded()
	a.welcome()
	each := time.NewTicker(time.Minute)
	defer each.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-each.C:
			if err := a.realm.Clean(a.ctx); err != nil && !errors.Is(err, context.Canceled) {
				a.logger.Warn("expired things could not be deleted; trying again in a minute", "error", err)
			}
		}
	}
}

// How often the parts are looked at, and how long that may take.
const (
	lookEach    = 15 * time.Second
	lookTimeout = 5 * time.Second
)

// look looks now and then how the parts do, for metrics and the log.
func (a *App) look() {
	each := time.NewTicker(lookEach)
	defer each.Stop()
	for {
		ctx, cancel := context.WithTimeout(a.ctx, lookTimeout)
		parts := a.realm.Status(ctx)
		cancel()
		if a.ctx.Err() != nil {
			return
		}
		signing, keys := a.realm.SigningKeys()
		counted.ops.looked(parts, signing, keys)
		select {
		case <-a.ctx.Done():
			return
		case <-each.C:
		}
	}
}

// Stop does nothing: the work ends with the context, and requests that are under way still use the stores.
func (a *App) Stop() error { return nil }

// Cleanup gives back the stores, once the work is done with them, a mail on its way being noted as sent, and the requests
// under way are: a reload does not wait for these. What the next configuration uses too stays open.
func (a *App) Cleanup() error {
	if a.realm != nil {
		a.realm.Close()
	}
	if a.visits == nil {
		return nil
	}
	a.visits.end()
	a.working.Wait()
	// Where Caddy exits, its servers have waited as long as the grace period allows.
	if a.visits.over() || caddy.Exiting() {
		return a.giveBack()
	}
	go func() {
		select {
		case <-a.visits.done:
		case <-time.After(lastVisit):
		}
		if err := a.giveBack(); err != nil {
			a.logger.Error("a store was not closed well", "error", err)
		}
	}()
	return nil
}

func (a *App) giveBack() error {
	var errs []error
	for _, give := range a.release {
		errs = append(errs, give())
	}
	a.release = nil
	return errors.Join(errs...)
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
