//go:build unix

package redisstore

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-authgate/authgate/authcore/store/storetest"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// TestMain keeps the client from writing down every connection.
func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	os.Exit(m.Run())
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func conform(t *testing.T, c Config) {
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		c := c
		c.Prefix = fmt.Sprintf("conform%d:", prefixes.Add(1))
		peer := storetest.Subject{ChallengeStores: open(t, c).ChallengeStores()}
		return storetest.Subject{ChallengeStores: open(t, c).ChallengeStores(), CleansItself: true, Peer: &peer}
	})
}

func TestOneServer(t *testing.T) {
	t.Parallel()
	conform(t, oneServer(servers.Redis(t)))
}

func TestCluster(t *testing.T) {
	t.Parallel()
	conform(t, clusterOf(servers.RedisCluster(t)))
}

func TestClusterWithReplicas(t *testing.T) {
	t.Parallel()
	conform(t, clusterOf(servers.RedisClusterWithReplicas(t)))
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	conform(t, sentinelOf(servers.RedisSentinel(t)))
}
