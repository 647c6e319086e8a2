package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// TLSMode says how a connection to the mail server is protected.
type TLSMode string

const (
	StartTLS    TLSMode = "starttls" // plain at first, then TLS, or no mail at all
	ImplicitTLS TLSMode = "implicit" // TLS from the beginning (RFC 8314)
	NoTLS       TLSMode = "off"      // for a server on this machine or an equally trusted network
)

// SMTP sends by one mail server.
type SMTP struct {
	Addr     string  // host:port; the certificate must be for the host
	TLS      TLSMode // empty: ImplicitTLS for port 465, else StartTLS
	Username string  // empty: no authentication
	Password string
	Roots    *x509.CertPool // who may vouch for the server; nil: whom this machine trusts

	// How long things may take; beyond, the connection is given up. Zero is the default.
	DialTimeout    time.Duration // to connect, TLS of the implicit kind included: 20 s
	CommandTimeout time.Duration // for each answer of the server: 30 s
	DataTimeout    time.Duration // to take a mail once it has all been sent: 90 s; what is sent again after it may come twice
}

// Validate reports what is wrong with the configuration, without looking at the network.
func (s *SMTP) Validate() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return fmt.Errorf("mail: smtp %q: must be host:port", s.Addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" || !visible(host) {
		return fmt.Errorf("mail: smtp %q: must be host:port", s.Addr)
	}
	switch s.TLS {
	case "", StartTLS, ImplicitTLS, NoTLS:
	default:
		return fmt.Errorf("mail: smtp: tls %q: must be %s, %s or %s", s.TLS, StartTLS, ImplicitTLS, NoTLS)
	}
	if (s.Username == "") != (s.Password == "") {
		return errors.New("mail: smtp: username and password go together")
	}
	if s.TLS == NoTLS && s.Username != "" && !isLoopbackName(host) {
		return fmt.Errorf("mail: smtp: credentials would be sent to %s without TLS", host)
	}
	return nil
}

func isLoopbackName(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

func (s *SMTP) host() string {
	host, _, _ := net.SplitHostPort(s.Addr)
	return host
}

func (s *SMTP) mode() TLSMode {
	switch {
	case s.TLS != "":
		return s.TLS
	case strings.HasSuffix(s.Addr, ":465"):
		return ImplicitTLS
	}
	return StartTLS
}

func (s *SMTP) config() *tls.Config {
	return &tls.Config{ServerName: s.host(), RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
}

func orElse(d, or time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return or
}

// Connect implements Sender. Its error is a *Failure. When ctx ends, so does the connecting.
//
// The client of the SMTP commands is used rather than the one that its package puts above it, whose errors hold the
// recipients, which leaves connections open that failed, and which takes TLS through a foreign dialer for none.
func (s *SMTP) Connect(ctx context.Context, helo string) (Connection, error) {
	dialing, cancel := context.WithTimeout(ctx, orElse(s.DialTimeout, 20*time.Second))
	defer cancel()
	raw, err := new(net.Dialer).DialContext(dialing, "tcp", s.Addr)
	if err != nil {
		return nil, failed("dial", ClassConnect, err)
	}
	var transport net.Conn = &bounded{Conn: raw, left: maxAnswers}
	if s.mode() == ImplicitTLS {
		secured := tls.Client(transport, s.config())
		if err := secured.HandshakeContext(dialing); err != nil {
			_ = raw.Close()
			return nil, failed("tls", ClassTLS, err)
		}
		transport = secured
	}
	c := &connection{raw: raw, command: orElse(s.CommandTimeout, 30*time.Second), data: orElse(s.DataTimeout, 90*time.Second)}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if err := s.greet(c, transport, helo); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

// greet leads the conversation to where mails can be sent.
func (s *SMTP) greet(c *connection, transport net.Conn, helo string) error {
	err := c.step(c.command, func() (err error) {
		c.client, err = smtp.NewClient(transport, s.host())
		return err
	})
	if err != nil {
		return failed("greeting", ClassConnect, err)
	}
	// Our messages are ASCII. Announced as more, they would be refused by servers on the way that take ASCII only
	// (RFC 6531 section 3.4).
	c.client.SkipSMTPUTF8(true)
	if err := c.step(c.command, func() error { return c.client.Hello(helo) }); err != nil {
		return failed("hello", ClassConnect, err)
	}
	if s.mode() == StartTLS {
		// A server that does not offer it now is one that somebody stands in front of (RFC 3207 section 6), or none for us.
		if offered, _ := c.client.Extension("STARTTLS"); !offered {
			return &Failure{Class: ClassTLS, Step: "starttls", Err: errNoStartTLS}
		}
		if err := c.step(c.command, func() error { return c.client.StartTLS(s.config()) }); err != nil {
			return failed("starttls", ClassTLS, err)
		}
	}
	if s.Username == "" {
		return nil
	}
	return s.authenticate(c)
}

var (
	errNoStartTLS = errors.New("not offered")
	errPlain      = errors.New("credentials are not sent without TLS")
	errMechanism  = errors.New("no mechanism that we know is offered")
	errExchange   = errors.New("the exchange failed")
)

// authenticate uses the best mechanism that is offered.
func (s *SMTP) authenticate(c *connection) error {
	state, secure := c.client.TLSConnectionState()
	// What the name resolves to is what counts, not the name.
	if peer, err := netip.ParseAddrPort(c.raw.RemoteAddr().String()); !secure && (err != nil || !peer.Addr().Unmap().IsLoopback()) {
		return &Failure{Class: ClassAuth, Step: "auth", Err: errPlain}
	}
	_, offered := c.client.Extension("AUTH")
	auth := s.mechanism(strings.Fields(strings.ToUpper(offered)), &state, secure)
	if auth == nil {
		return &Failure{Class: ClassAuth, Step: "auth", Err: errMechanism}
	}
	err := c.step(c.command, func() error { return c.client.Auth(auth) })
	if err == nil {
		return nil
	}
	f := failed("auth", ClassAuth, err)
	var network net.Error
	if f.Err != nil && !errors.As(err, &network) && !errors.Is(err, io.EOF) {
		// The text may hold what the server sent, and that what it was sent.
		f.Err = errExchange
	}
	return f
}

func (s *SMTP) mechanism(offered []string, state *tls.ConnectionState, secure bool) smtp.Auth {
	has := func(name string) bool { return slices.Contains(offered, name) }
	switch {
	case secure && has("SCRAM-SHA-256-PLUS"):
		return smtp.ScramSHA256PlusAuth(s.Username, s.Password, state)
	case has("SCRAM-SHA-256"):
		return smtp.ScramSHA256Auth(s.Username, s.Password)
	case secure && has("SCRAM-SHA-1-PLUS"):
		return smtp.ScramSHA1PlusAuth(s.Username, s.Password, state)
	case has("SCRAM-SHA-1"):
		return smtp.ScramSHA1Auth(s.Username, s.Password)
	case has("PLAIN"):
		return smtp.PlainAuth("", s.Username, s.Password, s.host(), true) // plain connections were refused above
	case has("LOGIN"):
		return smtp.LoginAuth(s.Username, s.Password, s.host(), true)
	}
	return nil
}

var _ Sender = (*SMTP)(nil)
