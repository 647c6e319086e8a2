package redisstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name, want string // want: a part of the error; empty: none
		config     Config
	}{
		{"a host", "", Config{URLs: []string{"redis://localhost"}}},
		{"all of it", "", Config{URLs: []string{"rediss://u%40:p%2F%23@[::1]:7000/3"}, CAFile: "ca.pem", ServerName: "r", Prefix: "a:b/"}},
		{"a socket", "", Config{URLs: []string{"unix://:secret@/run/redis.sock?db=2"}}},
		{"Sentinels", "", Config{URLs: []string{"redis://:secret@a/1", "redis://b", "redis://:secret@c:1/1"}, Sentinel: "gate"}},
		{"a Cluster", "", Config{URLs: []string{"redis://a", "redis://b"}, Cluster: true}},
		{"nothing", "no URL", Config{}},
		{"both", "no Sentinels", Config{URLs: []string{"redis://a"}, Sentinel: "gate", Cluster: true}},
		{"several", "several URLs", Config{URLs: []string{"redis://a", "redis://b"}}},
		{"a password of none", "no Sentinel", Config{URLs: []string{"redis://a"}, SentinelPassword: "secret"}},
		{"a user of Sentinels alone", "no password", Config{URLs: []string{"redis://a"}, Sentinel: "gate", SentinelUsername: "u"}},
		{"another scheme", "scheme", Config{URLs: []string{"http://:secret@a"}}},
		{"no scheme", "URL 1", Config{URLs: []string{"localhost:6379"}}},
		{"an empty one", "scheme", Config{URLs: []string{""}}},
		{"no host", "no host", Config{URLs: []string{"redis://:secret@:6379"}}},
		{"a password as it is", "percent-encoded", Config{URLs: []string{"redis://:sec#ret@host"}}},
		{"another password as it is", "percent-encoded", Config{URLs: []string{"redis://:secret%zz@host"}}},
		{"a user alone", "without a password", Config{URLs: []string{"redis://user@host"}}},
		{"a database that is none", "not a number", Config{URLs: []string{"redis://host/x"}}},
		{"a negative database", "not a number", Config{URLs: []string{"redis://host/-1"}}},
		{"verification left out", "unknown parameters", Config{URLs: []string{"rediss://host?skip_verify=true"}}},
		{"a parameter twice", "unknown parameters", Config{URLs: []string{"redis://host?db=1"}}},
		{"a socket with a host", "unix:///path", Config{URLs: []string{"unix://host/path"}}},
		{"a socket of a Cluster", "one server", Config{URLs: []string{"unix:///path"}, Cluster: true}},
		{"a socket of Sentinels", "one server", Config{URLs: []string{"unix:///path"}, Sentinel: "gate"}},
		{"a database of a Cluster", "no other database", Config{URLs: []string{"redis://host/1"}, Cluster: true}},
		{"certificates for nothing", "rediss://", Config{URLs: []string{"redis://host"}, CAFile: "ca.pem"}},
		{"a name for nothing", "rediss://", Config{URLs: []string{"redis://host"}, ServerName: "r"}},
		{"half encrypted", "scheme", Config{URLs: []string{"rediss://a", "redis://b"}, Cluster: true}},
		{"two passwords", "another user or password", Config{URLs: []string{"redis://:secret@a", "redis://:secret2@b"}, Cluster: true}},
		{"two databases", "another database", Config{URLs: []string{"redis://a/1", "redis://b/2"}, Sentinel: "gate"}},
		{"a prefix for one slot", "prefix", Config{URLs: []string{"redis://a"}, Prefix: "{x}"}},
		{"a prefix with a space", "prefix", Config{URLs: []string{"redis://a"}, Prefix: "a b"}},
		{"a prefix with a letter of another alphabet", "prefix", Config{URLs: []string{"redis://a"}, Prefix: "ä"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.config.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "sec") || strings.Contains(err.Error(), "ret")) {
				t.Errorf("a secret is in %q", err)
			}
		})
	}
}

func TestParseURL(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"redis://localhost", "{[localhost:6379] tcp   0 false}"},
		{"rediss://u%40:p%2F%23@[::1]:7000/3", "{[[::1]:7000] tcp u@ p/# 3 true}"},
		{"redis://:p@h/", "{[h:6379] tcp  p 0 false}"},
		{"unix://u:p@/run/redis.sock?db=2", "{[/run/redis.sock] unix u p 2 false}"},
	} {
		if got, err := parseURL(c.in, defaultPort); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s: got %v, %v", c.in, got, err)
		}
	}
}

func TestBreaker(t *testing.T) {
	var b breaker
	now := time.Now()
	const trial = time.Second
	at := func(after time.Duration) time.Time { return now.Add(after) }
	for i := range breakAfter {
		if !b.allow(at(0), trial) {
			t.Fatalf("refuses after %d failures", i)
		}
		b.failed(at(0), at(time.Millisecond))
	}
	// Of those who waited for the same silence, none makes it longer.
	for range 100 {
		b.failed(at(0), at(2*time.Millisecond))
	}
	if b.allow(at(2*time.Millisecond), trial) {
		t.Fatal("lets through what cannot be answered")
	}
	// One is let through to find out, and while that one waits nobody else.
	if !b.allow(at(minBreak+time.Millisecond), trial) || b.allow(at(minBreak+2*time.Millisecond), trial) {
		t.Fatal("not exactly one is let through")
	}
	if !b.allow(at(minBreak+time.Millisecond+trial), trial) {
		t.Fatal("the one who was let through and never came back keeps all others out")
	}
	// It never takes much longer than the longest pause.
	clock := at(time.Hour)
	for range 50 {
		if !b.allow(clock, trial) {
			t.Fatal("refuses after the longest pause")
		}
		b.failed(clock, clock)
		clock = clock.Add(maxBreak)
	}
	b.answered()
	if !b.allow(clock, trial) {
		t.Fatal("refuses though the server answers")
	}
}

// One client asks for challenges without end; that costs the client alone.
func TestTally(t *testing.T) {
	c := tally{most: 3}
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for i := range 5 {
		if got := c.add("flooder", now); got != (i < 3) {
			t.Fatalf("number %d: %v", i, got)
		}
	}
	if !c.add("somebody", now) {
		t.Fatal("somebody else is refused")
	}
	if c.add("flooder", now.Add(tallyWindow-time.Second)) || !c.add("flooder", now.Add(tallyWindow)) {
		t.Fatal("not as long as the window")
	}
	if !c.add("flooder", now.Add(-time.Hour)) {
		t.Fatal("a clock that was put back keeps the count")
	}
	// A flood that comes from everywhere takes no memory without end, and nobody is refused for it.
	c = tally{most: 3}
	for i := range 3 * tallyMax {
		if !c.add(fmt.Sprint(i), now) {
			t.Fatal("refused")
		}
	}
	if len(c.clients) > tallyMax {
		t.Fatalf("%d clients are known", len(c.clients))
	}
}

func TestInTouch(t *testing.T) {
	for _, c := range []struct {
		name, info string
		want       int
	}{
		{"none", "role:master\r\nconnected_slaves:0\r\n", 0},
		{"two", "slave0:ip=::1,port=1,state=online,offset=5,lag=0\r\nslave1:ip=::1,port=2,state=online,offset=5,lag=4\r\n", 2},
		{"silent", "slave0:ip=::1,port=1,state=online,offset=5,lag=5\r\n", 0},
		{"coming", "slave0:ip=::1,port=1,state=wait_bgsave,offset=0,lag=0\r\n", 0},
		{"come just now", "slave0:ip=::1,port=1,state=online,offset=0,lag=0\r\n", 0},
		{"a field more", "slave0:ip=::1,port=1,state=online,offset=5,lag=1,io=3\r\n", 1},
		{"no lag", "slave0:ip=::1,port=1,state=online,offset=5\r\n", 0},
		{"other lines", "slave_repl_offset:5\r\nslave_priority:100\r\n", 0},
	} {
		if got := inTouch(c.info); got != c.want {
			t.Errorf("%s: got %d", c.name, got)
		}
	}
}

// Whatever is read as a challenge is written as it was, so that nothing can be stored in two ways.
func FuzzDecode(f *testing.F) {
	c := authcore.Challenge{
		Binding: authcore.Binding{Purpose: authcore.PurposePasskeyStepUp, Origin: "https://app.example.com", Subject: "id"},
		Data:    []byte{0, 1, 2}, Expires: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC),
	}
	f.Add(encode(c))
	f.Add(encode(authcore.Challenge{}))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(encode(c))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(c) {
			t.Fatalf("got %v, %v; want %v", again, err, c)
		}
	})
}

// Nothing that is no URL of a server makes trouble, or is repeated in the error.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"redis://:p@h:1/2", "rediss://[::1]", "unix:///s?db=1", "redis://%zz", "redis:h", "redis://h/1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseURL(s, defaultPort)
		if err == nil && (len(got.addrs) != 1 || got.database < 0 || got.username != "" && got.password == "") {
			t.Fatalf("got %+v", got)
		}
	})
}
