package wallet

import (
	"errors"
	"strings"
	"time"
)

// Timestamp is a time as a message writes it. It keeps its text, since the same moment can be written in many ways and
// only one of them was signed. The zero value is no time at all.
type Timestamp struct {
	text string
	time time.Time
}

// NewTimestamp writes a time in UTC, to the millisecond, as browsers do.
func NewTimestamp(t time.Time) Timestamp {
	t = t.UTC().Truncate(time.Millisecond)
	return Timestamp{text: t.Format("2006-01-02T15:04:05.000Z"), time: t}
}

// ParseTimestamp reads an RFC 3339 date-time with an upper-case T and Z. Leap seconds are refused, as no clock that it
// could be compared with has them.
func ParseTimestamp(s string) (Timestamp, error) {
	// time.Parse alone takes one-digit hours, comma fractions and offsets of 24 hours.
	if !dateTimeShape(s) {
		return Timestamp{}, errors.New("not an RFC 3339 date-time")
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return Timestamp{}, errors.New("not a date-time of the calendar")
	}
	return Timestamp{text: s, time: t.UTC()}, nil
}

// String answers the text that was read.
func (t Timestamp) String() string { return t.text }

// Time answers the moment, in UTC.
func (t Timestamp) Time() time.Time { return t.time }

// IsZero reports whether there is no time.
func (t Timestamp) IsZero() bool { return t == Timestamp{} }

// dateTimeShape reports whether s has the form of RFC 3339, section 5.6: 2006-01-02T15:04:05[.0…](Z|±15:04).
func dateTimeShape(s string) bool {
	const seconds = "0000-00-00T00:00:00"
	if len(s) <= len(seconds) || !digitsAs(s[:len(seconds)], seconds) {
		return false
	}
	zone := s[len(seconds):]
	if zone[0] == '.' {
		zone = strings.TrimLeft(zone[1:], "0123456789")
	}
	if zone == "Z" {
		return true
	}
	// time-hour = 00-23, time-minute = 00-59 also in an offset.
	return (digitsAs(zone, "+00:00") || digitsAs(zone, "-00:00")) && zone[1:3] <= "23" && zone[4:] <= "59"
}

// digitsAs reports whether s is the pattern with any digits in place of its zeros.
func digitsAs(s, pattern string) bool {
	if len(s) != len(pattern) {
		return false
	}
	for i := range len(s) {
		if pattern[i] == '0' && !isDigit(s[i]) || pattern[i] != '0' && pattern[i] != s[i] {
			return false
		}
	}
	return true
}
