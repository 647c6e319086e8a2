package redisstore

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// replicaPatience is how long a replica has to confirm.
	replicaPatience = 500 * time.Millisecond
	// silence is after how long a replica is not waited for any more.
	silence = 5 * time.Second
	// replicaMemory is for how long it is known whether there are any.
	replicaMemory = time.Second
)

// errUnreplicated says that no replica confirmed in time.
var errUnreplicated = errors.New("no replica has confirmed it")

// node is one server, or whoever is the primary behind Sentinels.
type node struct {
	client  *redis.Client
	breaker breaker

	mu       sync.Mutex
	replicas int // in touch with it
	known    time.Time
}

// node answers the server that has a key.
func (s *Store) node(ctx context.Context, key string) (*node, error) {
	if s.cluster == nil {
		return s.nodeOf(s.one), nil
	}
	client, err := s.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, err
	}
	return s.nodeOf(client), nil
}

func (s *Store) nodeOf(c *redis.Client) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	addr := c.Options().Addr
	n := s.nodes[addr]
	if n == nil || n.client != c {
		n = &node{client: c}
		s.nodes[addr] = n
	}
	return n
}

// replicated sends a command and waits until a replica has done it too, where there are replicas in touch.
func (n *node) replicated(ctx context.Context, cmd redis.Cmder) error {
	replicas, err := n.count(ctx, replicaMemory)
	if err != nil {
		return err
	}
	if replicas == 0 {
		return n.client.Process(ctx, cmd)
	}
	// On one connection: WAIT is about what was sent on the same.
	pipe := n.client.Pipeline()
	_ = pipe.Process(ctx, cmd)
	confirmed := pipe.Do(ctx, "wait", 1, replicaPatience.Milliseconds())
	_, err = pipe.Exec(ctx)
	if err := cmd.Err(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if acks, err := confirmed.Int(); err != nil || acks > 0 {
		return err
	}
	if replicas, err = n.count(ctx, 0); err != nil {
		return err
	}
	if replicas > 0 {
		return errUnreplicated
	}
	return nil
}

// count answers how many replicas are in touch, as it was no longer ago than this.
func (n *node) count(ctx context.Context, old time.Duration) (int, error) {
	now := time.Now()
	n.mu.Lock()
	replicas, known := n.replicas, n.known
	if now.Sub(known) <= old {
		n.mu.Unlock()
		return replicas, nil
	}
	// Others go by what was known while one asks; at the start there is nothing to go by.
	if !known.IsZero() {
		n.known = now
	}
	n.mu.Unlock()
	info, err := n.client.Info(ctx, "replication").Result()
	if err != nil {
		return 0, err
	}
	replicas = inTouch(info)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.replicas, n.known = replicas, now
	return replicas, nil
}

// inTouch counts the replicas that have all that was there when they came, and of which the primary has heard lately.
func inTouch(info string) int {
	count := 0
	for line := range strings.Lines(info) {
		// slave0:ip=127.0.0.1,port=6380,state=online,offset=1234,lag=0
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if !strings.HasPrefix(name, "slave") {
			continue
		}
		fields := map[string]string{}
		for field := range strings.SplitSeq(value, ",") {
			k, v, _ := strings.Cut(field, "=")
			fields[k] = v
		}
		// One that came a moment ago is at offset 0 until it is first heard of.
		lag, err := strconv.Atoi(fields["lag"])
		if fields["state"] == "online" && fields["offset"] != "0" && err == nil && time.Duration(lag)*time.Second < silence {
			count++
		}
	}
	return count
}

// infoField answers a line of what INFO answers.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
