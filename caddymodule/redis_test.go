//go:build unix

package caddymodule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// Whoever is in the middle of signing in does not notice a reload, nor that the password of the server was changed with
// it. Passwords are what they are, whatever is special in them.
func TestRedisOverReloads(t *testing.T) {
	const first, second = "f@:/#%? st{x}", "s&=+second"
	server := servers.Redis(t, "--requirepass", first)
	h := newHouse(t)
	options := h.open() + fmt.Sprintf("challenge_store redis redis://:{env.AUTHGATE_TEST_REDIS}@%s\n", server.Addr)
	t.Setenv("AUTHGATE_TEST_REDIS", first)
	h.load(options+"rate_limit off\n", plain)
	key := newKey(t)
	message := h.challenge(key)

	server.Command("config", "set", "requirepass", second)
	server.Password(second)
	t.Setenv("AUTHGATE_TEST_REDIS", second)
	h.load(options+"rate_limit off\n", plain+"header X-Other 1\n")
	server.Command("client", "kill", "type", "normal")
	h.expect(200, "access_token", "POST", "/auth/challenge/sign", signed(t, key, message))
	h.expect(404, "challenge_not_found", "POST", "/auth/challenge/sign", signed(t, key, message))

	// A reload with a password that is wrong is refused, and nobody notices.
	t.Setenv("AUTHGATE_TEST_REDIS", "wrong-secret")
	if err := caddy.Load(h.config(options, plain), true); err == nil || strings.Contains(err.Error(), "wrong-secret") {
		t.Fatalf("got %v", err)
	}
	h.signIn()

	// While the server is down nobody signs in, and once it is back everybody does.
	server.Kill()
	h.expect(503, "unavailable", "POST", "/auth/challenge/create", `{}`)
	server.Start()
	server.Password(first) // as it was when it was started
	server.Command("config", "set", "requirepass", second)
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
		if response, _ := h.ask("POST", "/auth/challenge/create", `{}`); response.StatusCode == 200 {
			break
		}
	}
	h.expect(200, "nonce", "POST", "/auth/challenge/create", `{}`)
}

// Validating connects to nothing, and shows nothing that is secret.
func TestRedisProvision(t *testing.T) {
	t.Setenv("AUTHGATE_TEST_SECRET", "s@cret")
	t.Setenv("AUTHGATE_TEST_HOST", "redis.invalid:7000")
	t.Setenv("AUTHGATE_TEST_URL", "rediss://:s%40cret@redis.invalid")
	provision := func(s RedisChallengeStore) (*RedisChallengeStore, error) {
		return &s, s.Provision(caddy.Context{})
	}
	for _, c := range []struct {
		name, want, refused string // want: how the store's name begins; refused: a part of the error
		in                  RedisChallengeStore
	}{
		{"host and password", `redis redis.invalid:7000 database 2 prefix "authgate:" #`, "", RedisChallengeStore{
			URLs: []string{"redis://:{env.AUTHGATE_TEST_SECRET}@{env.AUTHGATE_TEST_HOST}/2"},
		}},
		{"the whole URL", `redis redis.invalid:6379 database 0 prefix "x:" #`, "", RedisChallengeStore{URLs: []string{"{env.AUTHGATE_TEST_URL}"}, Prefix: "x:"}},
		{"Sentinels", `redis sentinel gate a:26379 b:26379 database 0`, "", RedisChallengeStore{
			URLs: []string{"redis://a", "redis://b"}, Sentinel: &RedisSentinel{Master: "gate", Password: "{env.AUTHGATE_TEST_SECRET}"},
		}},
		{"a password that is missing", "", "env.AUTHGATE_TEST_NOTHING", RedisChallengeStore{URLs: []string{"redis://:{env.AUTHGATE_TEST_NOTHING}@a"}}},
		{"a host that is missing", "", "env.AUTHGATE_TEST_NOTHING", RedisChallengeStore{URLs: []string{"redis://{env.AUTHGATE_TEST_NOTHING}"}}},
		{"a password of Sentinels that is missing", "", "env.AUTHGATE_TEST_NOTHING", RedisChallengeStore{
			URLs: []string{"redis://a"}, Sentinel: &RedisSentinel{Master: "gate", Password: "{env.AUTHGATE_TEST_NOTHING}"},
		}},
		{"an unknown placeholder", "", "nonsense", RedisChallengeStore{URLs: []string{"redis://:{nonsense}@a"}}},
		{"half a placeholder", "", "{env", RedisChallengeStore{URLs: []string{"redis://:{env@a"}}},
		{"a URL that is none", "", "scheme", RedisChallengeStore{URLs: []string{"{env.AUTHGATE_TEST_SECRET}"}}},
		{"no URL", "", "no URL", RedisChallengeStore{}},
		{"Sentinels without a name", "", "master", RedisChallengeStore{URLs: []string{"redis://a"}, Sentinel: new(RedisSentinel)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := provision(c.in)
			switch {
			case c.refused != "":
				if err == nil || !strings.Contains(err.Error(), c.refused) || strings.Contains(err.Error(), "cret") {
					t.Errorf("got %v, want an error with %q", err, c.refused)
				}
			case err != nil || !strings.HasPrefix(s.StoreName(), c.want) || strings.Contains(s.StoreName(), "cret"):
				t.Errorf("got %q, %v; want %q", s.StoreName(), err, c.want)
			}
			if text := fmt.Sprintf("%v %+v %#v", s.config, s.config, s.config); strings.Contains(text, "cret") {
				t.Errorf("a secret is in %s", text)
			}
		})
	}

	// The same server is the same store, with another password another one.
	in := RedisChallengeStore{URLs: []string{"redis://:{env.AUTHGATE_TEST_SECRET}@a"}}
	var names [3]string
	for i, secret := range []string{"one", "one", "two"} {
		t.Setenv("AUTHGATE_TEST_SECRET", secret)
		s, err := provision(in)
		if err != nil {
			t.Fatal(err)
		}
		names[i] = s.StoreName()
	}
	if names[0] != names[1] || names[1] == names[2] {
		t.Errorf("got %q", names)
	}
}
