package gateway

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
	"github.com/caddy-authgate/authgate/authcore/token"
)

// A personal access token is written agp_ and 64 characters of base64url: 16 bytes by which it is found, 32 that are
// secret. Whatever begins like one is taken for one, and never reaches a backend from where they are looked for.
const (
	personalPrefix = "agp_"
	personalSize   = 16 + 32
)

const personalSession = authcore.PersonalSession

// newPersonal answers a new token, and its id.
func (r *Realm) newPersonal() (id, text string, err error) {
	b, err := r.random(personalSize)
	if err != nil {
		return "", "", err
	}
	return hex.EncodeToString(b[:16]), personalPrefix + base64.RawURLEncoding.EncodeToString(b), nil
}

// personalID answers the id within a token. It proves nothing yet.
func personalID(text string) (id string, ok bool) {
	body, ok := strings.CutPrefix(text, personalPrefix)
	if !ok || len(body) != base64.RawURLEncoding.EncodedLen(personalSize) {
		return "", false
	}
	var b [personalSize]byte
	// The decoder skips line breaks; then there are not enough bytes.
	if n, err := base64.RawURLEncoding.Decode(b[:], []byte(body)); err != nil || n != personalSize {
		return "", false
	}
	return hex.EncodeToString(b[:16]), true
}

// personalIn is what headers have of personal access tokens.
type personalIn struct {
	text          string  // the one; empty where there are several, which count as none
	via           carrier // byBasic where it is a password of HTTP Basic; byNothing: there is none
	authorization bool    // one stands in Authorization
	key           bool    // one stands in X-API-Key
}

const keyHeader = "X-Api-Key"

// findPersonal looks for personal access tokens where they may stand: a bearer token, the password of HTTP Basic (RFC 7617),
// X-API-Key. Nowhere else: a query is in logs and in what browsers tell other sites.
func findPersonal(h http.Header) (in personalIn) {
	lines, keys := h["Authorization"], h[keyHeader]
	if len(lines) == 0 && len(keys) == 0 {
		return in
	}
	several := false
	add := func(text string, via carrier) {
		several = several || in.via != byNothing && text != in.text
		in.text, in.via = text, max(via, in.via)
	}
	for _, l := range lines {
		if text, via := personalOf(l); via != byNothing {
			in.authorization = true
			several = several || len(lines) > 1
			add(text, via)
		}
	}
	for _, l := range keys {
		if strings.HasPrefix(l, personalPrefix) {
			in.key = true
			several = several || len(keys) > 1
			add(l, byToken)
		}
	}
	if several {
		in.text = ""
	}
	return in
}

// personalOf answers the token of an Authorization header.
func personalOf(line string) (text string, via carrier) {
	scheme, rest, _ := strings.Cut(line, " ")
	rest = strings.Trim(rest, " ")
	switch {
	case len(scheme) == len("bearer") && strings.EqualFold(scheme, "bearer"):
		if strings.HasPrefix(rest, personalPrefix) {
			return rest, byToken
		}
	case len(scheme) == len("basic") && strings.EqualFold(scheme, "basic"):
		rest = strings.TrimRight(rest, "=") // which some leave out
		var buf [512]byte
		b := buf[:]
		if n := base64.RawStdEncoding.DecodedLen(len(rest)); n > len(b) {
			b = make([]byte, n)
		}
		n, err := base64.RawStdEncoding.Decode(b, []byte(rest))
		if err != nil {
			return "", byNothing
		}
		// The first colon ends the name, which has none (RFC 7617 section 2); any name will do.
		if _, password, found := strings.Cut(string(b[:n]), ":"); found && strings.HasPrefix(password, personalPrefix) {
			return password, byBasic
		}
	}
	return "", byNothing
}

// identifyPersonal says who sent a request that has personal access tokens. They decide alone, as bearer tokens do. Beside
// one, an access token of this gateway makes two who it might be, which count as none; what else stands in Authorization is
// for the backend.
func (g *Gateway) identifyPersonal(r *http.Request, now time.Time, in personalIn) visitor {
	v := visitor{via: in.via, refused: in.authorization, refusedKey: in.key}
	if tok, present := bearerToken(r.Header); present && !in.authorization && in.text != "" {
		switch _, err := g.verify(r.Context(), tok, now); {
		case errors.Is(err, authcore.ErrUnavailable):
			v.err, v.refused = err, true
			return v
		case !errors.Is(err, token.ErrInvalid):
			in.text, v.refused = "", true
		}
	}
	if in.text == "" {
		return v
	}
	t, err := g.verifyPersonal(r.Context(), in.text, now)
	switch {
	case err == nil:
		v.ticket, v.identity = t, t.identity
		v.withhold(r.Header)
		g.realm.personal.use(t.personal, now)
	case !errors.Is(err, authcore.ErrSessionNotFound):
		v.err = err
	}
	return v
}

// personal is what a ticket knows of the token it is of.
type personal struct {
	id    string
	noted atomic.Int64 // when it was used last, as far as it is noted; Unix seconds
}

// verifyPersonal answers the ticket for a personal access token: from memory where it was read within the life of an access
// token, and nothing has changed of its user since. It is authcore.ErrSessionNotFound where the token is not good here.
func (g *Gateway) verifyPersonal(ctx context.Context, text string, now time.Time) (*ticket, error) {
	doubt := g.realm.State.doubt.Load()
	if t, ok := g.tickets.personal.GetIfPresent(text); ok && t.doubt == doubt && g.good(t, now) == nil {
		return t, nil
	}
	id, ok := personalID(text)
	if !ok {
		return nil, fmt.Errorf("gateway: malformed personal access token: %w", authcore.ErrSessionNotFound)
	}
	var t *ticket
	err := token.ErrExpired
	for n := 0; n < 2 && errors.Is(err, token.ErrExpired); n++ { // its user was changed meanwhile: what is read then knows of that
		if t, err = g.readPersonal(ctx, text, id, now, doubt); err == nil {
			err = g.good(t, now)
		}
	}
	return t, err
}

// readPersonal answers the ticket for a personal access token as the store has it. Of many requests with the same one does the
// work, so that it may be of before this one.
func (g *Gateway) readPersonal(ctx context.Context, text, id string, now time.Time, doubt int64) (*ticket, error) {
	done, err, _ := g.tickets.flights.Do(text, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTimeout)
		defer cancel()
		stored, err := g.realm.livePersonal(ctx, id, now)
		if err != nil {
			return nil, err
		}
		hash := authcore.HashSecret(text)
		if subtle.ConstantTimeCompare(hash[:], stored.SecretHash[:]) != 1 || !g.takesFrom(stored.Origin) {
			return nil, fmt.Errorf("gateway: personal access token: %w", authcore.ErrSessionNotFound)
		}
		// Before the account is read, as in access.
		issued, change := later(now, g.realm.State.outdatedUntil(stored.UserID)), g.realm.State.lastChange(stored.UserID)
		who, err := g.realm.personalIdentity(ctx, stored)
		if err != nil {
			return nil, err
		}
		expires := now.Add(g.realm.AccessToken)
		if !stored.Expires.IsZero() && stored.Expires.Before(expires) {
			expires = stored.Expires
		}
		t := g.newTicket(who, issued, expires, doubt)
		t.change, t.personal = change, &personal{id: id}
		if !stored.LastUsed.IsZero() {
			t.personal.noted.Store(stored.LastUsed.Unix())
		}
		g.tickets.personal.Set(strings.Clone(text), t)
		return t, nil
	})
	if err != nil {
		return nil, err
	}
	return done.(*ticket), nil
}

// takesFrom reports whether tokens count here that were made on a site of this home: this one's own, and that where it has its
// sign-in, since here none are made then.
func (g *Gateway) takesFrom(home string) bool {
	if home == g.home() || !g.away() {
		return home == g.home()
	}
	at, err := g.homeOf()
	return err == nil && home == at.home()
}

// livePersonal answers a token that may be used at this moment, or authcore.ErrSessionNotFound.
func (r *Realm) livePersonal(ctx context.Context, id string, now time.Time) (authcore.PersonalAccessToken, error) {
	t, err := r.Stores.PersonalAccessTokens.PersonalAccessToken(ctx, id)
	switch {
	case errors.Is(err, authcore.ErrPersonalAccessTokenNotFound):
		return t, fmt.Errorf("gateway: personal access token: %w", authcore.ErrSessionNotFound)
	case err == nil && !t.Live(now):
		return t, fmt.Errorf("gateway: personal access token has expired: %w", authcore.ErrSessionNotFound)
	}
	return t, err
}

// personalIdentity answers who a token stands for, as the store has the user now, and no more than it was given.
func (r *Realm) personalIdentity(ctx context.Context, t authcore.PersonalAccessToken) (*authcore.Identity, error) {
	id, err := r.identityOf(ctx, authcore.Session{ID: personalSession + t.ID, UserID: t.UserID})
	if err != nil {
		return nil, err
	}
	id.Token = true
	if !t.AllRoles {
		id.Roles = slices.DeleteFunc(id.Roles, func(role string) bool { return !slices.Contains(t.Roles, role) })
	}
	if len(t.Paths) > 0 {
		if id.Reach, err = policy.CompilePaths(t.Paths); err != nil {
			// It was checked when it was made, by another release perhaps. Without knowing where it is good, it is good nowhere.
			r.Logger.LogAttrs(ctx, slog.LevelWarn, "paths of a personal access token cannot be read", slog.String("token", t.ID), slog.String("cause", err.Error()))
			return nil, fmt.Errorf("gateway: personal access token: %w", authcore.ErrSessionNotFound)
		}
	}
	return id, nil
}

// presentPersonal answers who a token stands for as the store has it at this moment, and until when it is good; the zero
// time: for ever. It is authcore.ErrSessionNotFound where it is not there, has expired, or its user is gone or disabled.
func (r *Realm) presentPersonal(ctx context.Context, id string, now time.Time) (*authcore.Identity, time.Time, error) {
	t, err := r.livePersonal(ctx, id, now)
	if err != nil {
		return nil, time.Time{}, err
	}
	who, err := r.personalIdentity(ctx, t)
	return who, t.Expires, err
}

// takesPersonal reports whether one of the gateway's own routes is for personal access tokens, too: those that only tell who
// somebody is. A token that leaked must never become an account, nor more of itself.
func takesPersonal(sub string) bool { return sub == "session" || sub == "verify" }

// personalUses is what is to be noted of the use of tokens: off the requests, and for each token once in noteEach at most.
type personalUses struct {
	mu   sync.Mutex
	used map[string]time.Time
}

const noteEach = time.Minute

func (u *personalUses) use(p *personal, now time.Time) {
	last := p.noted.Load()
	if now.Unix()-last < int64(noteEach/time.Second) || !p.noted.CompareAndSwap(last, now.Unix()) {
		return
	}
	u.put(map[string]time.Time{p.id: now})
}

func (u *personalUses) put(used map[string]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.used == nil {
		u.used = make(map[string]time.Time, len(used))
	}
	for id, at := range used {
		if at.After(u.used[id]) {
			u.used[id] = at
		}
	}
}

func (u *personalUses) take() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	used := u.used
	u.used = nil
	return used
}

// notePersonal writes when tokens were used. What cannot be written now is written with the next.
func (r *Realm) notePersonal(ctx context.Context) {
	used := r.personal.take()
	if len(used) == 0 {
		return
	}
	if err := r.Stores.PersonalAccessTokens.NotePersonalAccessTokens(ctx, used); err != nil {
		r.personal.put(used)
		r.Logger.LogAttrs(ctx, slog.LevelDebug, "last use of personal access tokens not noted yet", slog.String("cause", err.Error()))
	}
}
