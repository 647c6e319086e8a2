package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Scale measures what a person waits for in a store with a thousand accounts and in one with many: ten thousand, or as many
// as the environment says in AUTHGATE_SCALE. Each account has a password, an address u<i>@example.com and two sessions,
// s<i>a and s<i>b. What fills the store knows nothing of what users are found by: open is to open it anew after that.
func Scale(b *testing.B, open func(b *testing.B, users int) authcore.Stores) {
	many, err := strconv.Atoi(os.Getenv("AUTHGATE_SCALE"))
	if err != nil {
		many = 10_000
	}
	for _, users := range []int{1000, many} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			s := open(b, users)
			for _, one := range []struct {
				name string
				do   func(ctx context.Context, s authcore.Stores, i, n int) error
			}{
				{"sign-in", scaleSignIn},
				{"renewal", scaleRenewal},
				{"sessions of a user", scaleSessions},
				{"users by username", scaleUsers(authcore.UserQuery{})},
				{"users by creation, the newest first", scaleUsers(authcore.UserQuery{Order: authcore.ByCreated, Descending: true})},
				{"users of a role", scaleUsers(authcore.UserQuery{Role: "admin"})},
				{"users of the role of all", scaleUsers(authcore.UserQuery{Role: "member", Order: authcore.ByCreated})},
				{"disabled users", scaleUsers(authcore.UserQuery{Disabled: new(true)})},
				{"search that finds all", scaleUsers(authcore.UserQuery{Search: "u"})},
				{"search that finds all, for a role", scaleUsers(authcore.UserQuery{Search: "u", Role: "admin"})},
				{"search that finds nobody", scaleSearch("nobody of this name %d")},
				{"search for a username", scaleSearch("u%d")},
				{"search for a word of a name", scaleSearch("%d")},
				{"search for an address", scaleSearch("u%d@ex")},
				{"count of users", scaleCount},
			} {
				b.Run(one.name, func(b *testing.B) {
					n := 0
					for b.Loop() {
						n++
						if err := one.do(b.Context(), s, rand.N(users), n); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// scaleNow is when the sessions are open.
var scaleNow = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// scaleSignIn is what a sign-in with a password asks of the store.
func scaleSignIn(ctx context.Context, s authcore.Stores, i, n int) error {
	u, err := s.Users.UserByEmail(ctx, fmt.Sprintf("u%d@example.com", i))
	if err != nil {
		return err
	}
	c, err := s.Credentials.CredentialByKey(ctx, authcore.Password, u.ID)
	if err != nil {
		return err
	}
	c.LastUsed = scaleNow
	if err := s.Credentials.UpdateCredential(ctx, c); err != nil {
		return err
	}
	opened := authcore.Session{
		ID: fmt.Sprintf("new %d %d", rand.Uint64(), n), UserID: u.ID, Created: scaleNow, LastSeen: scaleNow,
		IdleUntil: scaleNow.Add(time.Hour), Until: scaleNow.Add(time.Hour),
	}
	if err := s.Sessions.CreateSession(ctx, opened); err != nil {
		return err
	}
	_, err = s.Sessions.EndSessionsOf(ctx, u.ID, opened.ID, 99, scaleNow)
	return err
}

// scaleRenewal is what the renewal of an access token asks of the store.
func scaleRenewal(ctx context.Context, s authcore.Stores, i, n int) error {
	one, err := s.Sessions.Session(ctx, fmt.Sprintf("s%da", i))
	if err != nil {
		return err
	}
	one.LastSeen = scaleNow.Add(time.Duration(n) * time.Millisecond)
	if err := s.Sessions.UpdateSession(ctx, one); err != nil {
		return err
	}
	if _, err := s.Users.User(ctx, one.UserID); err != nil {
		return err
	}
	_, err = s.Credentials.CredentialsOf(ctx, one.UserID)
	return err
}

func scaleSessions(ctx context.Context, s authcore.Stores, i, _ int) error {
	open, err := s.Sessions.SessionsOf(ctx, "u"+strconv.Itoa(i), scaleNow)
	if err == nil && len(open) < 2 {
		err = fmt.Errorf("storetest: user %d has %d sessions", i, len(open))
	}
	return err
}

// scaleUsers is a page of a list somewhere in its middle, and the first one.
func scaleUsers(q authcore.UserQuery) func(context.Context, authcore.Stores, int, int) error {
	return func(ctx context.Context, s authcore.Stores, i, _ int) error {
		for _, key := range []string{"", fmt.Sprint("u", i)} {
			page := q
			if key != "" {
				if q.Order == authcore.ByCreated {
					key = strconv.FormatInt(scaleNow.UnixMicro(), 10)
				}
				page.After = q.Cursor(authcore.UserPlace{Key: key, ID: fmt.Sprint("u", i)})
			}
			if _, err := s.Directory.FindUsers(ctx, page); err != nil {
				return err
			}
		}
		return nil
	}
}

func scaleSearch(format string) func(context.Context, authcore.Stores, int, int) error {
	return func(ctx context.Context, s authcore.Stores, i, _ int) error {
		_, err := s.Directory.FindUsers(ctx, authcore.UserQuery{Search: fmt.Sprintf(format, i)})
		return err
	}
}

func scaleCount(ctx context.Context, s authcore.Stores, _, _ int) error {
	_, err := s.Directory.CountUsers(ctx)
	return err
}

// ScaleSQL answers the statements that fill a SQL store for Scale. series is what makes a table n(i) of the numbers from 0, in
// front of an INSERT and after it; zeros are 32 bytes.
func ScaleSQL(withSeries func(insert string) string, zeros string) []string {
	const hour = int64(time.Hour / time.Microsecond)
	now := scaleNow.UnixMicro()
	var all []string
	add := func(format string, values ...any) {
		all = append(all, withSeries(fmt.Sprintf(strings.Join(strings.Fields(format), " "), values...)))
	}
	add(`INSERT INTO users (id, username, folded, name, email, roles, disabled, created, version)
		SELECT 'u' || i, 'u' || i, 'u' || i, 'User ' || i, 'u' || i || '@example.com',
		CASE WHEN i %% 997 = 0 THEN '["admin", "member"]' ELSE '["member"]' END, CASE WHEN i %% 1009 = 0 THEN 1 ELSE 0 END, %d, 0 FROM n`, now)
	add(`INSERT INTO usernames (folded, user_id) SELECT 'u' || i, 'u' || i FROM n`)
	add(`INSERT INTO credentials (id, user_id, kind, key, name, data, created, last_used, version)
		SELECT 'c' || i, 'u' || i, 'password', 'u' || i, '', %s, %d, %d, 0 FROM n`, zeros, now, now)
	for _, which := range []string{"a", "b"} {
		add(`INSERT INTO sessions (id, user_id, origin, cookie, secret_hash, refresh_current, refresh_previous, refresh_salt, refresh_rotated,
			methods, created, last_seen, idle_until, absolute_until, expires, client_ip, user_agent, version)
			SELECT 's' || i || '%s', 'u' || i, 'https://app.example.com', 1, %[2]s, %[2]s, %[2]s, %[2]s, 0,
			'[]', %[3]d, %[3]d, %[4]d, %[4]d, %[4]d, '192.0.2.1', 'Mozilla/5.0', 0 FROM n`, which, zeros, now, now+hour)
	}
	return all
}
