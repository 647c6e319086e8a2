package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/passkey"
	"github.com/caddy-authgate/authgate/authcore/password"
	"github.com/caddy-authgate/authgate/authcore/session"
	"github.com/caddy-authgate/authgate/authcore/token"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// RealmConfig is what the sites on one store have in common. The zero value of a field is its default.
type RealmConfig struct {
	Stores     authcore.Stores          // required
	Challenges authcore.ChallengeStores // required
	State      *State                   // what outlives a reload; default: a new one

	OpenRegistration bool    // anybody who proves a credential may open an account; default: only who is granted a role
	Grants           []Grant // roles given in the configuration

	Idle         time.Duration // default 12 h
	Absolute     time.Duration // default 7 days
	AccessToken  time.Duration // default 5 min
	RefreshToken time.Duration // default 24 h
	Fresh        time.Duration // how new a sign-in must be to change credentials; default 5 min

	Wallet   *WalletConfig   // nil: wallet sign-in is off
	Keys     []keysign.Kind  // of programs that may sign in, keysign.Ed25519 and keysign.MLDSA65; none: they are off
	Passkey  *PasskeyConfig  // nil: passkeys are off
	Password *PasswordConfig // nil: sign-in with e-mail address and password is off; else Mail is required
	Mail     *MailConfig     // nil: no mail is sent, so that no address can be confirmed

	RateLimit  RateLimit
	KeepEvents time.Duration // how long events of the audit log are kept; default: for ever

	// ClientIP answers the address of the client of a request; default: of r.RemoteAddr.
	ClientIP func(*http.Request) netip.Addr
	// RequestURI answers the target as the browser sent it, before any rewrite; default: that of r.URL.
	RequestURI func(*http.Request) string
	// TrustedProxy reports whether a request comes from a proxy whose word about other requests counts, so that it may ask
	// about them; default: none is.
	TrustedProxy func(*http.Request) bool
	// RequestID answers what a refusal, the page that tells it and the log call a request, asked once for each; default:
	// something random.
	RequestID func(*http.Request) string
	// Leaving reports whether this instance is about to end: health/ready then says so to balancers, and all else goes on.
	// Default: never.
	Leaving  func() bool
	Observer Observer // default: none
	Traffic  Traffic  // default: nobody is told
	// Traced answers the context with an authcore.Tracer in it, and true, where a request with this context is traced, else
	// the context as it is. Default: none is.
	Traced func(context.Context) (context.Context, bool)
	Logger *slog.Logger     // default: discards
	Now    func() time.Time // default time.Now
	Rand   io.Reader        // default crypto/rand.Reader
}

// Grant gives a role to whoever has linked one of these wallets or keys, or has one of these addresses confirmed.
type Grant struct {
	Role string
	// To are Ethereum addresses, keys as keysign.ParseAccount reads them, and e-mail addresses; or the words of one
	// wallet.Holding, on whose chain WalletConfig.Contracts asks.
	To []string
}

// WalletConfig configures wallet sign-in.
type WalletConfig struct {
	Statement    string        // printable ASCII of ERC-4361; default "Sign in."
	ChallengeTTL time.Duration // default 60 s
	Chains       []uint64      // chain ids; none: any
	// Contracts asks wallets that are contracts; nil: these cannot sign in. It is the caller's to close.
	Contracts *wallet.Contracts
	Recheck   time.Duration // how often the contract wallet of a session is asked again; default 1 h
	RolesTTL  time.Duration // how old what a chain says for a role may be; default 10 min
	Solana    string        // the cluster whose wallets sign in too, "mainnet" say; empty: they do not
}

// RateLimit bounds the requests that begin or finish a sign-in, per client address (/64 for IPv6).
type RateLimit struct {
	Off    bool
	Count  int           // default 60
	Window time.Duration // default 1 min
}

// Observer is told what happens, for metrics and the like. Its methods must be quick and are called from many
// goroutines.
type Observer interface {
	// Decided is told each decision on a request for the backend: outcome is "allow", "sign_in", "step_up", "forbidden",
	// "bad_request", "unavailable", "loop" where signing in led back here too often, or, for a failure of the gateway itself
	// on any request, "panic".
	Decided(outcome string, took time.Duration)
	// SignedIn is told each finished or failed sign-in: outcome is "ok" or the code of the refusal.
	SignedIn(method authcore.Method, outcome string)
	// PasskeyOdd is told what is odd about a passkey that was used: "sign_count_refused" (it is bound to one device, and
	// there may be a copy), or one of the events of package passkey, with which the sign-in went on.
	PasskeyOdd(event string)
	// Happened is told each event of the audit log once it is written, without number and hash.
	Happened(e authcore.Event)
	// MailWritten is told each mail that is made for the outbox, decoys included.
	MailWritten(kind authcore.MailKind)
}

// Traffic is told what becomes of streams and of requests that are too many, as an Observer is.
type Traffic interface {
	// StreamEnded is told each stream that is cut: why is one of StreamReasons.
	StreamEnded(why string)
	// Limited is told each request that is refused since its client sent too many: limit is "sign-in" or "mail".
	Limited(limit string)
}

// Realm is the gateway's part that sites share: accounts, sessions, keys. Make one with NewRealm.
type Realm struct {
	RealmConfig
	sessions    *session.Sessions
	keys        *token.KeyRing
	issuer      *token.Issuer
	wallet      *wallet.SignIn      // nil: off
	keysign     *keysign.SignIn     // of Solana wallets and of programs; has no kinds where both are off
	passkeys    *passkey.Ceremonies // nil: off
	passwords   *password.Passwords // nil: no mail; it confirms addresses also where passwords are off
	grants      grants
	chainGrants []chainGrant
	holdings    *wallet.Holdings // nil: nothing is granted by chains

	recheckEach time.Duration // see WalletConfig.Recheck
	parts       partStates    // when Status was last asked
	hasKey      atomic.Bool   // there was a signing key once
	handsOff    atomic.Bool   // a site has its sign-in at another one
	refused     refusals
	personal    personalUses
}

// NewRealm checks the configuration and makes the realm. It touches no store.
func NewRealm(c RealmConfig) (*Realm, error) {
	if c.State == nil {
		c.State = NewState()
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.ClientIP == nil {
		c.ClientIP = remoteAddr
	}
	if c.RequestURI == nil {
		c.RequestURI = func(r *http.Request) string { return r.URL.RequestURI() }
	}
	c.RequestURI = withForwarded(c.RequestURI)
	if c.TrustedProxy == nil {
		c.TrustedProxy = func(*http.Request) bool { return false }
	}
	if c.RequestID == nil {
		c.RequestID = func(*http.Request) string { return rand.Text() }
	}
	c.Idle = cmp.Or(c.Idle, 12*time.Hour)
	c.Absolute = cmp.Or(c.Absolute, 7*24*time.Hour)
	c.AccessToken = cmp.Or(c.AccessToken, 5*time.Minute)
	c.RefreshToken = cmp.Or(c.RefreshToken, 24*time.Hour)
	c.Fresh = cmp.Or(c.Fresh, 5*time.Minute)
	c.RateLimit.Count = cmp.Or(c.RateLimit.Count, 60)
	c.RateLimit.Window = cmp.Or(c.RateLimit.Window, time.Minute)
	for _, d := range []struct {
		name string
		is   time.Duration
	}{
		{"idle", c.Idle},
		{"absolute", c.Absolute},
		{"access_token", c.AccessToken},
		{"refresh_token", c.RefreshToken},
		{"fresh", c.Fresh},
		{"rate_limit window", c.RateLimit.Window},
	} {
		if d.is < time.Second {
			return nil, fmt.Errorf("gateway: %s is %v; write one second or more", d.name, d.is)
		}
	}
	if c.Idle > c.Absolute || c.AccessToken > c.Absolute || c.AccessToken > c.Idle {
		return nil, fmt.Errorf("gateway: session: write access_token <= idle <= absolute, not %v, %v, %v", c.AccessToken, c.Idle, c.Absolute)
	}
	if c.RateLimit.Count < 0 {
		return nil, fmt.Errorf("gateway: rate_limit %d: write a positive number, or off", c.RateLimit.Count)
	}
	r := &Realm{RealmConfig: c}
	var err error
	if r.grants, r.chainGrants, err = compileGrants(c.Grants); err != nil {
		return nil, err
	}
	if r.holdings, err = newHoldings(c, r.chainGrants); err != nil {
		return nil, err
	}
	c.State.begin(c.Now())
	r.Stores = tellingStores(c.Stores, c.Observer.Happened)
	r.keys = &token.KeyRing{Store: notedKeys{c.Stores.Keys, r}, Now: c.Now, Rand: c.Rand}
	r.issuer = &token.Issuer{Keys: r.keys, AccessTTL: c.AccessToken, Granted: r.grants.roles, Now: c.Now, Rand: c.Rand}
	if err := r.issuer.Validate(); err != nil {
		return nil, err
	}
	r.sessions = &session.Sessions{Store: c.Stores.Sessions, Idle: c.Idle, Absolute: c.Absolute, Refresh: c.RefreshToken, Now: c.Now, Rand: c.Rand}
	r.recheckEach = time.Hour
	if w := c.Wallet; w != nil {
		if r.recheckEach = cmp.Or(w.Recheck, r.recheckEach); r.recheckEach < time.Minute {
			return nil, fmt.Errorf("gateway: recheck is %v; write one minute or more", w.Recheck)
		}
		r.wallet = &wallet.SignIn{
			Challenges: c.Challenges.Challenges, Statement: cmp.Or(w.Statement, "Sign in."), TTL: cmp.Or(w.ChallengeTTL, time.Minute),
			Chains: w.Chains, Contracts: w.Contracts, Now: c.Now, Rand: c.Rand,
		}
		if err := r.wallet.Validate(); err != nil {
			return nil, err
		}
	}
	if r.keysign, err = r.keySignIn(); err != nil {
		return nil, err
	}
	if r.passkeys, err = r.ceremonies(c.Passkey); err != nil {
		return nil, err
	}
	if r.passwords, err = r.mailedAccounts(); err != nil {
		return nil, err
	}
	return r, nil
}

// methods answers the sign-in methods that are on, the most convenient first.
func (r *Realm) methods() []authcore.Method {
	var m []authcore.Method
	if r.passkeys != nil {
		m = append(m, authcore.Passkey)
	}
	if r.wallet != nil {
		m = append(m, authcore.Wallet)
	}
	if r.Password != nil {
		m = append(m, authcore.Password)
	}
	if len(r.Keys) > 0 {
		m = append(m, authcore.ProgramKey)
	}
	return m
}

// Ready reports whether sign-ins and renewals can work now: the stores answer and there is a signing key.
func (r *Realm) Ready(ctx context.Context) error {
	if err := r.Stores.Health.Ping(ctx); err != nil {
		return err
	}
	if err := r.Challenges.Health.Ping(ctx); err != nil {
		return err
	}
	_, err := r.keys.JWKS(ctx)
	return err
}

// begun answers nil once there is a signing key. A realm whose store was never there yet is closed rather than signed out:
// who is sent to sign in could not, and a program that is told 401 would throw away what it has.
func (r *Realm) begun(ctx context.Context) error {
	if r.hasKey.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if _, err := r.keys.JWKS(ctx); err != nil {
		return err
	}
	r.hasKey.Store(true)
	return nil
}

// Close says that the realm is not used for further requests. Streams that it let through go on where the gateways of
// another realm on the same State allow what they do, and end where none does.
func (r *Realm) Close() { r.State.leave(r) }

// How long what expired is kept, so that who comes late is told so: challenges, mailed keys, invites, personal access tokens.
const (
	expiredGrace     = 5 * time.Minute
	expiredMailGrace = 24 * time.Hour
	expiredInvites   = 30 * 24 * time.Hour
	expiredPersonal  = 30 * 24 * time.Hour
)

// Clean deletes what has expired and rotates keys that are due. It is to be called now and then, each minute say.
func (r *Realm) Clean(ctx context.Context) error {
	now := r.Now()
	r.State.clean(now)
	_, err := r.Challenges.Challenges.DeleteExpiredChallenges(ctx, now.Add(-expiredGrace))
	_, err2 := r.Stores.Sessions.DeleteExpiredSessions(ctx, now)
	_, err3 := r.Stores.Confirmations.DeleteExpiredConfirmations(ctx, now.Add(-expiredMailGrace))
	_, err4 := r.Stores.Invites.DeleteExpiredInvites(ctx, now.Add(-expiredInvites))
	_, err5 := r.Stores.PersonalAccessTokens.DeleteExpiredPersonalAccessTokens(ctx, now.Add(-expiredPersonal))
	return errors.Join(err, err2, err3, err4, err5, r.forgetEvents(ctx, now), r.keys.Refresh(ctx))
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// nobody is the observer where none is configured.
type nobody struct{}

func (nobody) Decided(string, time.Duration)    {}
func (nobody) SignedIn(authcore.Method, string) {}
func (nobody) PasskeyOdd(string)                {}
func (nobody) Happened(authcore.Event)          {}
func (nobody) MailWritten(authcore.MailKind)    {}
