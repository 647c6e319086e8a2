package password

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// The caps: whoever could write to the store, or had a backup restored, must not be able to have a sign-in cost any
// amount of memory or time.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 10
	maxThreads = 16
	maxHash    = 64 // bytes of a stored salt or key
)

// parameters are what a hash costs.
type parameters struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

// check: the bounds of RFC 9106 section 3.1, and the caps.
func (p parameters) check() error {
	switch {
	case p.time < 1 || p.time > maxTime:
		return fmt.Errorf("argon2id with t=%d: write 1 to %d", p.time, maxTime)
	case p.threads < 1 || p.threads > maxThreads:
		return fmt.Errorf("argon2id with p=%d: write 1 to %d", p.threads, maxThreads)
	case p.memory < 8*uint32(p.threads) || p.memory > maxMemory:
		return fmt.Errorf("argon2id with m=%d: write %d to %d", p.memory, 8*uint32(p.threads), maxMemory)
	}
	return nil
}

// hashRecord is a stored hash.
type hashRecord struct {
	parameters
	salt, key []byte
}

// strict refuses the spellings in which unused trailing bits are set.
var strict = base64.RawStdEncoding.Strict()

const phcPrefix = "$argon2id$v=19$m="

// String is the PHC form (https://github.com/P-H-C/phc-string-format).
func (r hashRecord) String() string {
	return fmt.Sprintf("%s%d,t=%d,p=%d$%s$%s", phcPrefix, r.memory, r.time, r.threads, strict.EncodeToString(r.salt), strict.EncodeToString(r.key))
}

// parseHash reads what String writes and nothing else: another order, another version, data or a key identifier are
// refused.
func parseHash(phc string) (hashRecord, error) {
	invalid := func(why string) (hashRecord, error) {
		return hashRecord{}, fmt.Errorf("password: %w: %s", ErrInvalidHash, why)
	}
	rest, found := strings.CutPrefix(phc, phcPrefix)
	if !found {
		return invalid("not argon2id, version 19")
	}
	fields := strings.Split(rest, "$")
	if len(fields) != 3 || len(rest) > 40+4*maxHash {
		return invalid("not parameters, salt and hash")
	}
	numbers := strings.Split(fields[0], ",")
	if len(numbers) != 3 || !strings.HasPrefix(numbers[1], "t=") || !strings.HasPrefix(numbers[2], "p=") {
		return invalid("parameters other than m, t and p")
	}
	memory, errM := strconv.ParseUint(numbers[0], 10, 32)
	time, errT := strconv.ParseUint(numbers[1][2:], 10, 32)
	threads, errP := strconv.ParseUint(numbers[2][2:], 10, 8)
	salt, errS := strict.DecodeString(fields[1])
	key, errK := strict.DecodeString(fields[2])
	if errM != nil || errT != nil || errP != nil || errS != nil || errK != nil {
		return invalid("malformed")
	}
	r := hashRecord{parameters{uint32(memory), uint32(time), uint8(threads)}, salt, key}
	switch err := r.check(); {
	case err != nil:
		return invalid(err.Error())
	case len(salt) < 8 || len(salt) > maxHash || len(key) < 16 || len(key) > maxHash:
		return invalid("length of salt or hash")
	// Leading zeros and signs, and the line breaks that the decoder skips.
	case r.String() != phc:
		return invalid("not in its one form")
	}
	return r, nil
}

// less reports whether a hash was made with less of anything that makes guessing expensive than these parameters ask for.
func (r hashRecord) less(than parameters) bool {
	return r.memory < than.memory || r.time < than.time || len(r.salt) < saltSize || len(r.key) < hashSize
}
