package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-authgate/authgate/authcore"
)

// A count is stored as "<count> <reset>", reset in microseconds. Scripts hand times on as text, as Lua would write so large
// a number with an exponent; as numbers they are compared, which it does exactly.
const readCount = `
local count, reset = 0, '0'
local stored = redis.call('GET', KEYS[1])
if stored then
	local c, r = string.match(stored, '^(%d+) (%-?%d+)$')
	if not c then return redis.error_reply('ERR what is stored is no count') end
	if tonumber(r) > tonumber(ARGV[1]) then count, reset = tonumber(c), r end
end
`

// countAttempt is given now, the end of a window that begins now, and the TTL for that.
const countAttempt = readCount + `
if count == 0 then
	stored = '1 ' .. ARGV[2]
	redis.call('SET', KEYS[1], stored, 'PX', ARGV[3])
else
	stored = string.format('%.0f', count + 1) .. ' ' .. reset
	redis.call('SET', KEYS[1], stored, 'KEEPTTL')
end
return stored
`

// countLockout is given now, the number of tries, and the ends of a suspension and of being remembered that begin now,
// each followed by its TTL.
const countLockout = readCount + `
local tries = tonumber(ARGV[2])
if count >= tries then return string.format('%.0f', tries + 1) .. ' ' .. reset end
count = count + 1
local ttl
if count == tries then reset, ttl = ARGV[3], ARGV[4] else reset, ttl = ARGV[5], ARGV[6] end
stored = string.format('%.0f', count) .. ' ' .. reset
redis.call('SET', KEYS[1], stored, 'PX', ttl)
return stored
`

var (
	countAttemptScript = redis.NewScript(countAttempt)
	countLockoutScript = redis.NewScript(countLockout)
)

// attemptsKey is a hash, as what is counted may be as long as somebody likes, and is nobody's business.
func (s *Store) attemptsKey(key string) string {
	hash := sha256.Sum256([]byte(key))
	return s.prefix + "a:" + base64.RawURLEncoding.EncodeToString(hash[:])
}

// CountAttempt implements authcore.AttemptCounter.
func (s *Store) CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (authcore.Attempts, error) {
	end := now.Add(window)
	return s.count(ctx, "count attempt", countAttemptScript, countAttempt, key,
		now.UnixMicro(), end.UnixMicro(), lifetime(end, now))
}

// CountLockout implements authcore.AttemptCounter.
func (s *Store) CountLockout(ctx context.Context, key string, l authcore.Lockout, now time.Time) (authcore.Attempts, error) {
	suspended, forgotten := now.Add(l.Suspend), now.Add(l.Forget)
	return s.count(ctx, "count attempt", countLockoutScript, countLockout, key,
		now.UnixMicro(), l.Tries, suspended.UnixMicro(), lifetime(suspended, now), forgotten.UnixMicro(), lifetime(forgotten, now))
}

func (s *Store) count(ctx context.Context, what string, script *redis.Script, source, key string, args ...any) (authcore.Attempts, error) {
	cmd, err := s.run(ctx, what, script, source, s.attemptsKey(key), false, args...)
	if err != nil {
		return authcore.Attempts{}, err
	}
	stored, err := cmd.Text()
	if err != nil {
		return authcore.Attempts{}, fmt.Errorf("redisstore: %s: %w: %w", what, authcore.ErrUnavailable, err)
	}
	return parseCount(what, stored)
}

// Attempts implements authcore.AttemptCounter.
func (s *Store) Attempts(ctx context.Context, key string, now time.Time) (authcore.Attempts, error) {
	const what = "read attempts"
	name := s.attemptsKey(key)
	get := redis.NewStringCmd(ctx, "get", name)
	if err := s.do(ctx, what, name, get, false); err != nil || errors.Is(get.Err(), redis.Nil) {
		return authcore.Attempts{}, err
	}
	a, err := parseCount(what, get.Val())
	if err != nil || a.Reset.UnixMicro() <= now.UnixMicro() {
		return authcore.Attempts{}, err
	}
	return a, nil
}

// ClearAttempts implements authcore.AttemptCounter.
func (s *Store) ClearAttempts(ctx context.Context, key string) error {
	name := s.attemptsKey(key)
	return s.do(ctx, "clear attempts", name, redis.NewIntCmd(ctx, "del", name), false)
}

func parseCount(what, stored string) (authcore.Attempts, error) {
	parts := strings.Fields(stored)
	if len(parts) == 2 {
		count, err := strconv.Atoi(parts[0])
		reset, err2 := strconv.ParseInt(parts[1], 10, 64)
		if err == nil && err2 == nil {
			return authcore.Attempts{Count: count, Reset: time.UnixMicro(reset).UTC()}, nil
		}
	}
	return authcore.Attempts{}, fmt.Errorf("redisstore: %s: %w: what is stored is no count", what, authcore.ErrUnavailable)
}

var _ authcore.AttemptCounter = (*Store)(nil)
