package redisstore

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	// late is how long an expired challenge stays, so that who answers it late is told so.
	late = 5 * time.Minute
	// clocks is by how much the clocks of instances may differ before something is deleted too early.
	clocks = 5 * time.Minute
)

// lifetime answers the server's TTL in milliseconds of what is needed until a time.
func lifetime(until, now time.Time) int64 {
	return (max(until.Sub(now), 0) + clocks).Milliseconds()
}

func (s *Store) challengeKey(id [32]byte) string {
	return s.prefix + "c:" + base64.RawURLEncoding.EncodeToString(id[:])
}

// CreateChallenge implements authcore.Challenges. It answers ErrChallengeLimit to a client that asked this instance for
// more than Config.MaxPerClient lately.
func (s *Store) CreateChallenge(ctx context.Context, c authcore.Challenge, now time.Time) error {
	const what = "create challenge"
	if ctx.Err() == nil && !s.asked.add(c.Client, now) {
		return refuse(what, authcore.ErrChallengeLimit)
	}
	key := s.challengeKey(c.ID)
	set := redis.NewStatusCmd(ctx, "set", key, encode(c), "nx", "px", lifetime(c.Expires.Add(late), now))
	if err := s.do(ctx, what, key, set, false); err != nil {
		return err
	}
	if errors.Is(set.Err(), redis.Nil) {
		return refuse(what, authcore.ErrConflict)
	}
	return nil
}

// ConsumeChallenge implements authcore.Challenges. Where it answers ErrUnavailable, the challenge may be taken out or not:
// a server that hung may find the question later, and does what it says.
func (s *Store) ConsumeChallenge(ctx context.Context, id [32]byte, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	const what = "consume challenge"
	key := s.challengeKey(id)
	// GETDEL and no script: a server whose memory is full still does it.
	get := redis.NewStringCmd(ctx, "getdel", key)
	if err := s.do(ctx, what, key, get, true); err != nil {
		return authcore.Challenge{}, err
	}
	if errors.Is(get.Err(), redis.Nil) {
		return authcore.Challenge{}, refuse(what, authcore.ErrChallengeNotFound)
	}
	c, err := decode([]byte(get.Val()))
	if err != nil {
		return authcore.Challenge{}, fmt.Errorf("redisstore: %s: %w: %w", what, authcore.ErrUnavailable, err)
	}
	c.ID = id
	if err := c.Check(want, now); err != nil {
		return authcore.Challenge{}, refuse(what, err)
	}
	return c, nil
}

// DeleteExpiredChallenges implements authcore.Challenges. There is nothing to do: the server does it.
func (s *Store) DeleteExpiredChallenges(ctx context.Context, _ time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("redisstore: delete expired challenges: %w: %w", authcore.ErrUnavailable, err)
	}
	return 0, nil
}

// format is the first byte of a stored challenge, so that another form can be told by those who do not know it.
const format = 1

// encode writes a challenge as it is stored: format, expiry in microseconds, purpose, origin and subject, each after its
// length, and the data. The id is the key, and the client is not needed again.
func encode(c authcore.Challenge) []byte {
	b := make([]byte, 0, 9+3*binary.MaxVarintLen16+len(c.Purpose)+len(c.Origin)+len(c.Subject)+len(c.Data))
	b = append(b, format)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Expires.UnixMicro()))
	for _, part := range []string{string(c.Purpose), c.Origin, c.Subject} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return append(b, c.Data...)
}

var errMalformed = errors.New("what is stored is no challenge")

func decode(b []byte) (authcore.Challenge, error) {
	var c authcore.Challenge
	if len(b) < 9 || b[0] != format {
		return c, errMalformed
	}
	c.Expires = time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:9]))).UTC()
	b = b[9:]
	for _, part := range []*string{(*string)(&c.Purpose), &c.Origin, &c.Subject} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return authcore.Challenge{}, errMalformed
		}
		*part = string(b[n : n+int(size)])
		b = b[n+int(size):]
	}
	if len(b) > 0 {
		c.Data = b
	}
	return c, nil
}

var (
	_ authcore.Challenges = (*Store)(nil)
	_ authcore.Health     = (*Store)(nil)
)
