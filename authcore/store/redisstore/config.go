package redisstore

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config says where Redis is. All fields but URLs have defaults.
type Config struct {
	// URLs of the server: redis://[[user]:password@]host[:port][/database], rediss:// for TLS, or
	// unix://[[user]:password@]/path[?db=database]. With Sentinel they are those of the Sentinels, with Cluster of some of its
	// servers; then the first says user, password and database for all.
	URLs []string
	// Sentinel is the name by which the Sentinels know the primary; empty where there are none.
	Sentinel string
	// SentinelUsername and SentinelPassword are for the Sentinels themselves.
	SentinelUsername, SentinelPassword string
	Cluster                            bool
	// Prefix of all keys; default "authgate:". Gates that have nothing to do with each other need different ones.
	Prefix string
	// CAFile has the certificates, in PEM, of those who may vouch for the servers; default: those that the system trusts.
	CAFile string
	// ServerName is the name in the certificates of the servers; default: the host to which is connected.
	ServerName string
	// Timeout bounds every call; default 1 second.
	Timeout time.Duration
	// Connections to each server, at most, beside one for notices; default 16.
	Connections int
	// MaxPerClient is how many challenges one client may ask this instance for within ten minutes; default 65536, which
	// takes 25 MB. It hinders one client from filling the server where no rate limit does.
	MaxPerClient int
}

// String tells the server without any secret, so that it may stand in a log.
func (c Config) String() string {
	t, err := c.target()
	if err != nil {
		return "invalid"
	}
	text := strings.Join(t.addrs, " ")
	switch {
	case c.Cluster:
		text = "cluster " + text
	case c.Sentinel != "":
		text = "sentinel " + c.Sentinel + " " + text
	}
	return fmt.Sprintf("%s database %d prefix %q", text, t.database, cmp.Or(c.Prefix, defaultPrefix))
}

// GoString is String, for %#v.
func (c Config) GoString() string { return c.String() }

const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"
)

// target is what a Config says, understood.
type target struct {
	addrs              []string
	network            string // "tcp" or "unix"
	username, password string
	database           int
	tls                bool
}

// Validate says what is wrong with the configuration, without a word of what is secret. It looks for no server or file.
func (c Config) Validate() error {
	_, err := c.target()
	return err
}

func (c Config) target() (target, error) {
	var t target
	switch {
	case len(c.URLs) == 0:
		return t, errors.New("redisstore: no URL")
	case c.Sentinel != "" && c.Cluster:
		return t, errors.New("redisstore: a Cluster has no Sentinels; choose one of them")
	case len(c.URLs) > 1 && c.Sentinel == "" && !c.Cluster:
		return t, errors.New("redisstore: several URLs are for Sentinels or a Cluster; say which")
	case (c.SentinelUsername != "" || c.SentinelPassword != "") && c.Sentinel == "":
		return t, errors.New("redisstore: a password of Sentinels, and no Sentinel")
	case c.SentinelUsername != "" && c.SentinelPassword == "":
		return t, errors.New("redisstore: the Sentinels' user has no password")
	case strings.ContainsFunc(c.Prefix, func(r rune) bool { return r <= ' ' || r > '~' || r == '{' || r == '}' }):
		// A brace would put all keys in one slot, and so all the work on one server of a Cluster.
		return t, fmt.Errorf("redisstore: prefix %q has other characters than printable ASCII without braces", c.Prefix)
	}
	port := defaultPort
	if c.Sentinel != "" {
		port = defaultSentinelPort
	}
	for i, raw := range c.URLs {
		one, err := parseURL(raw, port)
		if err != nil {
			return t, fmt.Errorf("redisstore: URL %d: %w", i+1, err)
		}
		if i == 0 {
			t = one
			continue
		}
		switch {
		case one.network != t.network || one.tls != t.tls:
			return t, fmt.Errorf("redisstore: URL %d: not of the same scheme as the first", i+1)
		case one.username+one.password != "" && (one.username != t.username || one.password != t.password):
			return t, fmt.Errorf("redisstore: URL %d: another user or password than in the first", i+1)
		case one.database != 0 && one.database != t.database:
			return t, fmt.Errorf("redisstore: URL %d: another database than in the first", i+1)
		}
		t.addrs = append(t.addrs, one.addrs...)
	}
	switch {
	case c.Cluster && t.database != 0:
		return t, errors.New("redisstore: a Cluster has no other database than 0")
	case (c.Cluster || c.Sentinel != "") && t.network == "unix":
		return t, errors.New("redisstore: a socket is of one server only")
	case (c.CAFile != "" || c.ServerName != "") && !t.tls:
		return t, errors.New("redisstore: certificates are for rediss:// only")
	}
	return t, nil
}

// parseURL reads one URL. Its errors do not repeat what it says: there may be a password in it.
func parseURL(raw, port string) (target, error) {
	var t target
	u, err := url.Parse(raw)
	if err != nil {
		return t, errors.New("not a URL; what is special in a password is to be percent-encoded")
	}
	if u.User != nil {
		t.username = u.User.Username()
		t.password, _ = u.User.Password()
		if t.password == "" {
			return t, errors.New("a user without a password")
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return t, errors.New("not a URL; what is special in a password is to be percent-encoded")
	}
	database := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case "redis", "rediss":
		if u.Hostname() == "" {
			return t, errors.New("no host")
		}
		if p := u.Port(); p != "" {
			port = p
		}
		t.network, t.tls = "tcp", u.Scheme == "rediss"
		t.addrs = []string{net.JoinHostPort(u.Hostname(), port)}
	case "unix":
		if u.Host != "" || u.Path == "" {
			return t, errors.New("a socket is written unix:///path")
		}
		t.network, t.addrs = "unix", []string{u.Path}
		database = query.Get("db")
		query.Del("db")
	default:
		return t, errors.New("the scheme is neither redis, rediss nor unix")
	}
	if len(query) > 0 {
		// So that nothing that other programs understand, skipping the verification of certificates for one, is believed to
		// be understood here.
		return t, errors.New("unknown parameters")
	}
	if database != "" {
		if t.database, err = strconv.Atoi(database); err != nil || t.database < 0 {
			return t, errors.New("the database is not a number")
		}
	}
	return t, nil
}

// ValidateFiles reports what is wrong with the options, and with the files that they name.
func (c Config) ValidateFiles() error {
	t, err := c.target()
	if err != nil {
		return err
	}
	_, err = c.tlsConfig(t)
	return err
}

// tlsConfig answers how servers prove who they are; nil without TLS. There is no way to leave out the proof.
func (c Config) tlsConfig(t target) (*tls.Config, error) {
	if !t.tls {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redisstore: certificates: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redisstore: certificates: none in %s", c.CAFile)
		}
	}
	return config, nil
}
