package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	defaultPrefix       = "authgate:"
	defaultTimeout      = time.Second
	defaultConnections  = 16
	defaultMaxPerClient = 1 << 16
)

// Store keeps the short-lived in Redis. Open makes one.
type Store struct {
	one     *redis.Client        // a server, or the primary that the Sentinels name
	cluster *redis.ClusterClient // or this
	prefix  string
	timeout time.Duration
	asked   tally

	warnings []string
	mu       sync.Mutex
	nodes    map[string]*node // by address
}

// Open connects to the server and asks whether it can be used. It answers ErrUnavailable where it cannot now.
func Open(ctx context.Context, c Config) (*Store, error) {
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	s := &Store{prefix: c.Prefix, timeout: c.Timeout, nodes: map[string]*node{}}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	s.asked.most = c.MaxPerClient
	if s.asked.most <= 0 {
		s.asked.most = defaultMaxPerClient
	}
	if err := s.connect(c, t); err != nil {
		return nil, err
	}
	if err := s.inspect(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// connect makes the client, which connects when it is asked something.
func (s *Store) connect(c Config, t target) error {
	encrypted, err := c.tlsConfig(t)
	if err != nil {
		return err
	}
	connections := c.Connections
	if connections <= 0 {
		connections = defaultConnections
	}
	// One more for notices, so that waiting for them takes none from the callers.
	connections++
	const (
		once     = -1 // no hidden second try: a challenge would be told spent that was just taken, a try counted twice
		idle     = 5 * time.Minute
		protocol = 2
	)
	switch {
	case c.Cluster:
		s.cluster = redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: t.addrs, Username: t.username, Password: t.password, TLSConfig: encrypted, Protocol: protocol,
			MaxRetries: once, DialerRetries: 1, DialTimeout: s.timeout, ReadTimeout: s.timeout, WriteTimeout: s.timeout,
			PoolTimeout: s.timeout, ContextTimeoutEnabled: true, PoolSize: connections, MaxActiveConns: connections,
			ConnMaxIdleTime: idle, PipelinePoolSize: -1, DisableRoutingPolicies: true, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
	case c.Sentinel != "":
		s.one = redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: c.Sentinel, SentinelAddrs: t.addrs, SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
			Username: t.username, Password: t.password, DB: t.database, TLSConfig: encrypted, Protocol: protocol,
			MaxRetries: once, DialerRetries: 1, DialTimeout: s.timeout, ReadTimeout: s.timeout, WriteTimeout: s.timeout,
			PoolTimeout: s.timeout, ContextTimeoutEnabled: true, PoolSize: connections, MaxActiveConns: connections,
			ConnMaxIdleTime: idle, PipelinePoolSize: -1, DisableIdentity: true,
		})
	default:
		s.one = redis.NewClient(&redis.Options{
			Network: t.network, Addr: t.addrs[0],
			Username: t.username, Password: t.password, DB: t.database, TLSConfig: encrypted, Protocol: protocol,
			MaxRetries: once, DialerRetries: 1, DialTimeout: s.timeout, ReadTimeout: s.timeout, WriteTimeout: s.timeout,
			PoolTimeout: s.timeout, ContextTimeoutEnabled: true, PoolSize: connections, MaxActiveConns: connections,
			ConnMaxIdleTime: idle, PipelinePoolSize: -1, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
	}
	return nil
}

// inspect asks whether the server can be used, and notices where it is set up so that it may forget.
func (s *Store) inspect(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	// What is needed later on is asked now, so that a user of the server who may not ask it is told at the start.
	memory := redis.NewStringCmd(ctx, "info", "memory")
	if err := s.do(ctx, "ask how it is set up", s.noticesKey(), memory, false); err != nil {
		return err
	}
	if policy := infoField(memory.Val(), "maxmemory_policy"); policy != "" && policy != "noeviction" {
		s.warnings = append(s.warnings, "maxmemory-policy of redis is "+policy+": when it is full it throws away counted attempts, so who floods it "+
			"with challenges can go on guessing passwords; set it to noeviction")
	}
	return nil
}

// Warnings answers what Open noticed of the server that its operator should change.
func (s *Store) Warnings() []string { return s.warnings }

// ChallengeStores are the contracts that the store fulfils.
func (s *Store) ChallengeStores() authcore.ChallengeStores {
	return authcore.ChallengeStores{Challenges: s, Attempts: s, Notices: s, Health: s, Clock: s}
}

// Ping implements authcore.Health.
func (s *Store) Ping(ctx context.Context) error {
	// A write to a key, though it changes nothing: a server may answer PING and yet not know where its keys are, or be a
	// replica now, on which nobody can sign in.
	key := s.prefix + "ping" // there is no such key, ever
	return s.do(ctx, "ping", key, redis.NewIntCmd(ctx, "del", key), false)
}

// StoreTime implements authcore.Clock.
func (s *Store) StoreTime(ctx context.Context) (time.Time, error) {
	cmd := redis.NewTimeCmd(ctx, "time")
	if err := s.do(ctx, "tell the time", s.noticesKey(), cmd, false); err != nil {
		return time.Time{}, err
	}
	return cmd.Val().UTC(), nil
}

// Close ends all connections.
func (s *Store) Close() error {
	if s.cluster != nil {
		return s.cluster.Close()
	}
	return s.one.Close()
}

// do sends one command about key, and gives errors the form that callers expect; that there is no such key is none.
// With replicate it is done only when a replica has done it too, where there are any.
func (s *Store) do(ctx context.Context, what, key string, cmd redis.Cmder, replicate bool) error {
	err := ctx.Err()
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		err = s.send(limited, ctx, key, cmd, replicate)
	}
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return nil
	case over(ctx) != nil:
		return fmt.Errorf("redisstore: %s: %w: %w", what, authcore.ErrUnavailable, over(ctx))
	}
	// The cause is told, not wrapped: a deadline of this store's own is not the caller's.
	return fmt.Errorf("redisstore: %s: %w: %v", what, authcore.ErrUnavailable, err)
}

// over is ctx.Err, also in the moment in which a connection has noticed the deadline and the context has not.
func over(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// refuse wraps what the store decided on.
func refuse(what string, verdict error) error { return fmt.Errorf("redisstore: %s: %w", what, verdict) }

// run runs a script, which the server may have to be told first.
func (s *Store) run(ctx context.Context, what string, script *redis.Script, source, key string, replicate bool, args ...any) (*redis.Cmd, error) {
	cmd := redis.NewCmd(ctx, append([]any{"evalsha", script.Hash(), 1, key}, args...)...)
	err := s.do(ctx, what, key, cmd, replicate)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = redis.NewCmd(ctx, append([]any{"eval", source, 1, key}, args...)...)
		err = s.do(ctx, what, key, cmd, replicate)
	}
	return cmd, err
}

// send sends a command to the server that has the key, and to its successor where it says that it did nothing because it
// has it no more. caller is the context without the deadline of this store.
func (s *Store) send(ctx, caller context.Context, key string, cmd redis.Cmder, replicate bool) error {
	err := s.sendOnce(ctx, caller, key, cmd, replicate)
	switch {
	case err == nil:
		return nil
	case s.cluster == nil && redis.HasErrorPrefix(err, "READONLY"):
		// The connection is closed by now, and the next one goes to whom the Sentinels name.
		return s.sendOnce(ctx, caller, key, cmd, replicate)
	case s.cluster != nil && (redis.HasErrorPrefix(err, "MOVED ") || redis.HasErrorPrefix(err, "ASK ")):
		return s.cluster.Process(ctx, unrepeated{cmd})
	}
	return err
}

// unrepeated is a command that the client of a Cluster sends where it is redirected to, and nowhere again.
type unrepeated struct{ redis.Cmder }

func (unrepeated) NoRetry() bool { return true }

// errBroken is told while a server is not asked.
var errBroken = errors.New("the server did not answer lately")

func (s *Store) sendOnce(ctx, caller context.Context, key string, cmd redis.Cmder, replicate bool) error {
	began := time.Now()
	n, err := s.node(ctx, key)
	if err != nil {
		return err
	}
	if !n.breaker.allow(began, s.timeout) {
		return errBroken
	}
	if replicate {
		err = n.replicated(ctx, cmd)
	} else {
		err = n.client.Process(ctx, cmd)
	}
	s.learn(n, err, began, caller)
	return err
}

// learn tells the breaker how a server answered. What a caller broke off says nothing.
func (s *Store) learn(n *node, err error, began time.Time, caller context.Context) {
	switch {
	case err == nil || able(err):
		n.breaker.answered()
	case over(caller) == nil:
		n.breaker.failed(began, time.Now())
		if s.cluster != nil {
			s.cluster.ReloadState(caller)
		}
	}
}

// able reports whether an error is the word of a server that works, if it does not do this.
func able(err error) bool {
	if errors.Is(err, redis.Nil) || errors.Is(err, errUnreplicated) {
		return true
	}
	for _, word := range []string{"NOSCRIPT", "OOM ", "MOVED ", "ASK ", "NOPERM ", "MISCONF ", "NOREPLICAS "} {
		if redis.HasErrorPrefix(err, word) {
			return true
		}
	}
	return false
}
