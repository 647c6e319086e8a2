package caddymodule

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	goredis "github.com/redis/go-redis/v9"

	"github.com/caddy-authgate/authgate/authcore/store/redisstore"
)

// RedisChallengeStore keeps challenges and attempts in Redis, and by it instances tell each other what ended or changed.
// Placeholders such as {env.REDIS_PASSWORD} and {file./run/secrets/redis} are replaced when the configuration is loaded;
// secrets are best written so, since they stay out of the configuration.
type RedisChallengeStore struct {
	// Where it is: redis://[[user]:password@]host[:port][/database], rediss:// for TLS, or unix://. One, or with sentinel
	// those of the Sentinels, or with cluster those of some servers of the Cluster. What a placeholder before the @ stands
	// for is taken as it is; what else is special in a password is to be percent-encoded.
	URLs []string `json:"urls,omitempty"`
	// The Sentinels that watch over it. Default: none do.
	Sentinel *RedisSentinel `json:"sentinel,omitempty"`
	// Whether it is a Cluster.
	Cluster bool `json:"cluster,omitempty"`
	// What all keys begin with. Default: "authgate:".
	Prefix string `json:"prefix,omitempty"`
	// A file with the certificates, in PEM, of those who vouch for the servers. Default: those that the system trusts.
	CA string `json:"ca,omitempty"`
	// The name in the certificates of the servers. Default: the host that is connected to.
	ServerName string `json:"server_name,omitempty"`

	config redisstore.Config
	name   string
}

// RedisSentinel says how to ask the Sentinels for the server.
type RedisSentinel struct {
	// The name by which they know it. Required.
	Master string `json:"master,omitempty"`
	// What to sign in with at the Sentinels. Default: without.
	Username string `json:"username,omitempty"`
	// The password of that username, or of the Sentinels where there is none; best as a placeholder.
	Password string `json:"password,omitempty"`
}

// CaddyModule names the module.
func (*RedisChallengeStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authgate.challenge_stores.redis", New: func() caddy.Module { return new(RedisChallengeStore) }}
}

// UnmarshalCaddyfile reads what follows "challenge_store":
//
//	redis <url>... {
//		sentinel    <master> {
//			username <name>
//			password <password>
//		}
//		cluster
//		prefix      <prefix>
//		ca          <file>
//		server_name <name>
//	}
func (s *RedisChallengeStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	at := here(d)
	s.URLs = d.RemainingArgs()
	if len(s.URLs) == 0 {
		return d.Err("challenge_store redis has no URL; write for example: challenge_store redis redis://localhost:6379")
	}
	err := parseBlock(d, "challenge_store redis", []option{
		{usage: "sentinel <master> { <options> }", min: 1, max: 1, block: true, expands: true, parse: s.parseSentinel},
		{usage: "cluster", parse: func(*caddyfile.Dispenser, []string) error {
			s.Cluster = true
			return nil
		}},
		textOption("prefix <prefix>", &s.Prefix).expanding(),
		textOption("ca <file>", &s.CA).expanding(),
		textOption("server_name <name>", &s.ServerName).expanding(),
	})
	if err != nil {
		return err
	}
	// What a placeholder stands for is known only later, and then checked.
	config := s.written()
	for _, text := range append([]string{config.Sentinel, config.SentinelUsername, config.SentinelPassword, config.Prefix, config.CAFile, config.ServerName}, config.URLs...) {
		if strings.Contains(text, "{") {
			return nil
		}
	}
	if err := config.Validate(); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

func (s *RedisChallengeStore) parseSentinel(d *caddyfile.Dispenser, args []string) error {
	s.Sentinel = &RedisSentinel{Master: args[0]}
	return parseBlock(d, "sentinel", []option{
		textOption("username <name>", &s.Sentinel.Username).expanding(),
		textOption("password <password>", &s.Sentinel.Password).expanding(),
	})
}

// written is the configuration as it is written.
func (s *RedisChallengeStore) written() redisstore.Config {
	c := redisstore.Config{URLs: s.URLs, Cluster: s.Cluster, Prefix: s.Prefix, CAFile: s.CA, ServerName: s.ServerName}
	if s.Sentinel != nil {
		c.Sentinel, c.SentinelUsername, c.SentinelPassword = s.Sentinel.Master, s.Sentinel.Username, s.Sentinel.Password
	}
	return c
}

// Provision replaces the placeholders and looks for the file of certificates. It connects to nothing.
func (s *RedisChallengeStore) Provision(caddy.Context) error {
	if s.Sentinel != nil && s.Sentinel.Master == "" {
		return errors.New("sentinel: the name of the master is missing")
	}
	c := s.written()
	c.URLs = make([]string, len(s.URLs))
	for i, written := range s.URLs {
		var err error
		if c.URLs[i], err = expandURL(written); err != nil {
			return fmt.Errorf("URL %d: %w", i+1, err)
		}
	}
	for _, field := range []struct {
		name string
		is   *string
	}{
		{"sentinel", &c.Sentinel},
		{"sentinel username", &c.SentinelUsername},
		{"sentinel password", &c.SentinelPassword},
		{"prefix", &c.Prefix},
		{"ca", &c.CAFile},
		{"server_name", &c.ServerName},
	} {
		var err error
		if *field.is, err = expand(*field.is); err != nil {
			return fmt.Errorf("%s: %w", field.name, err)
		}
	}
	if c.CAFile != "" {
		var err error
		if c.CAFile, err = filepath.Abs(c.CAFile); err != nil {
			return err
		}
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if err := c.ValidateFiles(); err != nil {
		return err
	}
	s.config = c
	// A store that is open goes on with the password that it was opened with. So another password makes it another store,
	// by a mark that says nothing of it: what is in Redis is the same, and the old one closes with the old configuration.
	s.name = fmt.Sprintf("redis %s %s", c, mark(c.URLs, c.SentinelUsername, c.SentinelPassword, c.CAFile, c.ServerName))
	return nil
}

// markKey makes marks of secrets that only this process can make.
var markKey = []byte(rand.Text())

// mark is another one for other secrets, and says nothing of them.
func mark(secrets ...any) string {
	mac := hmac.New(sha256.New, markKey)
	fmt.Fprintf(mac, "%q", secrets)
	return fmt.Sprintf("#%x", mac.Sum(nil)[:4])
}

// expandURL replaces the placeholders of a URL. What one before the @ stands for is a name or a password, in which any
// character may be; one that is the whole URL stands for a URL.
func expandURL(written string) (string, error) {
	user := strings.LastIndexByte(written, '@') + 1
	rest := written[:user]
	var before strings.Builder
	for {
		text, placeholder, found := strings.Cut(rest, "{")
		before.WriteString(text)
		if !found {
			break
		}
		name, after, _ := strings.Cut(placeholder, "}")
		value, err := expand("{" + name + "}")
		if err != nil {
			return "", err
		}
		before.WriteString(strings.TrimPrefix(url.UserPassword("", value).String(), ":"))
		rest = after
	}
	after, err := expand(written[user:])
	return before.String() + after, err
}

// StoreName implements ChallengeStore.
func (s *RedisChallengeStore) StoreName() string { return s.name }

// OpenChallengeStore implements ChallengeStore.
func (s *RedisChallengeStore) OpenChallengeStore(ctx context.Context, _ OpenStore) (OpenChallengeStore, error) {
	// What the client itself has to say, of each connection, it would write to standard error.
	goredis.SetLogger(redisLog{})
	store, err := redisstore.Open(ctx, s.config)
	if err != nil {
		return OpenChallengeStore{}, err
	}
	for _, warning := range store.Warnings() {
		caddy.Log().Named("authgate").Warn(warning)
	}
	return OpenChallengeStore{ChallengeStores: store.ChallengeStores(), Close: store.Close}, nil
}

// CarriesNotices implements NoticeCarrier.
func (*RedisChallengeStore) CarriesNotices() {}

// redisLog takes what the client says to where Caddy's own log goes, for who wants to see it.
type redisLog struct{}

func (redisLog) Printf(_ context.Context, format string, args ...any) {
	caddy.Log().Named("authgate.redis").Sugar().Debugf(format, args...)
}

var (
	_ caddy.Provisioner     = (*RedisChallengeStore)(nil)
	_ caddyfile.Unmarshaler = (*RedisChallengeStore)(nil)
	_ ChallengeStore        = (*RedisChallengeStore)(nil)
	_ NoticeCarrier         = (*RedisChallengeStore)(nil)
)
