//go:build unix

package redisstore

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

var (
	noon    = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	binding = authcore.Binding{Purpose: authcore.PurposeWalletSignIn, Origin: "https://app.example.com"}

	prefixes atomic.Int64
)

// challenge answers one that is good for a minute from noon.
func challenge(name string) authcore.Challenge {
	return authcore.Challenge{
		ID: authcore.HashSecret(name), Binding: binding, Client: "192.0.2.1", Data: make([]byte, 32), Expires: noon.Add(time.Minute),
	}
}

// open opens a store that nobody else uses, unless c has a prefix. Where a test is not about time it has much.
func open(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Prefix == "" {
		c.Prefix = fmt.Sprintf("test%d:", prefixes.Add(1))
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// patience is how long what must come may take on a machine that has much else to do: it limits waiting, and nothing that
// passes takes so long.
const patience = time.Minute

func oneServer(s *servers.RedisServer) Config { return Config{URLs: []string{s.URL()}} }

// inASecond is a configuration with the default deadline.
func inASecond(c Config) Config {
	c.Timeout = defaultTimeout
	return c
}

func clusterOf(nodes []*servers.RedisServer) Config {
	c := Config{Cluster: true}
	for _, n := range nodes {
		c.URLs = append(c.URLs, n.URL())
	}
	return c
}

func sentinelOf(s *servers.Sentinel) Config {
	return Config{URLs: []string{s.URL()}, Sentinel: s.Master}
}
