package mail

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// received is a mail that a server took.
type received struct {
	from, to, helo string
	utf8           bool
	data           string
}

// mailServer is a real SMTP server on a real socket, whose answers a test chooses.
type mailServer struct {
	addr string

	mu          sync.Mutex
	mails       []received
	connections int
	credentials []string // user and password of each try, as "user:password"

	// What it answers; nil: it takes everything.
	mail func(conn int) error
	rcpt func(conn int, to string) error
	data func(conn int, s *conversation, r io.Reader) error
	mech []string // AUTH mechanisms; nil: none
}

// conversation is one connection to a mailServer.
type conversation struct {
	server *mailServer
	conn   *smtp.Conn
	number int
	now    received
}

func (m *mailServer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connections++
	return &conversation{server: m, conn: c, number: m.connections}, nil
}

func (c *conversation) Reset()        { c.now = received{} }
func (c *conversation) Logout() error { return nil }

func (c *conversation) Mail(from string, o *smtp.MailOptions) error {
	if c.now.from != "" {
		return &smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "nested MAIL command"}
	}
	if c.server.mail != nil {
		if err := c.server.mail(c.number); err != nil {
			return err
		}
	}
	c.now = received{from: from, helo: c.conn.Hostname(), utf8: o.UTF8}
	return nil
}

func (c *conversation) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.now.to = to
	if c.server.rcpt != nil {
		return c.server.rcpt(c.number, to)
	}
	return nil
}

func (c *conversation) Data(r io.Reader) error {
	if c.server.data != nil {
		return c.server.data(c.number, c, r)
	}
	return c.take(r)
}

func (c *conversation) take(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.now.data = string(b)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.mails = append(c.server.mails, c.now)
	return nil
}

func (c *conversation) AuthMechanisms() []string { return c.server.mech }

const testUser, testPassword = "sender@example.com", "pa55 wörd"

func (c *conversation) Auth(mech string) (sasl.Server, error) {
	check := func(user, password string) error {
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		c.server.credentials = append(c.server.credentials, user+":"+password)
		if user != testUser || password != testPassword {
			return smtp.ErrAuthFailed
		}
		return nil
	}
	switch mech {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case "LOGIN":
		return &loginServer{check: check}, nil
	case "SCRAM-SHA-256":
		return &scramServer{check: check, header: "n,,"}, nil
	case "SCRAM-SHA-256-PLUS":
		state, ok := c.conn.TLSConnectionState()
		if !ok {
			return nil, smtp.ErrAuthUnknownMechanism
		}
		binding, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32) // RFC 9266
		return &scramServer{check: check, header: "p=tls-exporter,,", binding: binding}, err
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// loginServer is the server's side of LOGIN.
type loginServer struct {
	check func(user, password string) error
	user  string
	step  int
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

// scramServer is the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), with or without channel binding.
type scramServer struct {
	header       string
	binding      []byte
	check        func(user, password string) error
	step         int
	first, reply string
	user, nonce  string
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	s.step++
	switch s.step {
	case 1:
		return []byte{}, false, nil
	case 2:
		s.first = strings.TrimPrefix(string(response), s.header)
		user, nonce, _ := strings.Cut(strings.TrimPrefix(s.first, "n="), ",r=")
		s.user, s.nonce = user, nonce+"server"
		s.reply = "r=" + s.nonce + ",s=" + base64.StdEncoding.EncodeToString([]byte("salt")) + ",i=4096"
		return []byte(s.reply), false, nil
	case 3:
		without, proof, _ := strings.Cut(string(response), ",p=")
		salted, err := pbkdf2.Key(sha256.New, testPassword, []byte("salt"), 4096, 32)
		if err != nil {
			return nil, true, err
		}
		message := []byte(s.first + "," + s.reply + "," + without)
		client := mac(salted, []byte("Client Key"))
		stored := sha256.Sum256(client)
		want := mac(stored[:], message)
		for i := range want {
			want[i] ^= client[i]
		}
		password := testPassword
		bound := "c=" + base64.StdEncoding.EncodeToString(append([]byte(s.header), s.binding...))
		if !strings.HasPrefix(without, bound+",") {
			password = "not bound"
		}
		if proof != base64.StdEncoding.EncodeToString(want) {
			password = "wrong"
		}
		if err := s.check(s.user, password); err != nil {
			return nil, true, err
		}
		return []byte("v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, []byte("Server Key")), message))), false, nil
	}
	return nil, true, nil
}

func (m *mailServer) got() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mails)
}

// counted answers how often each address got a mail.
func (m *mailServer) counted() map[string]int {
	n := make(map[string]int)
	for _, r := range m.got() {
		n[r.to]++
	}
	return n
}

// start serves on the loopback address, with STARTTLS where config is not nil, or TLS from the beginning.
func (m *mailServer) start(t testing.TB, config *tls.Config, implicit bool) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	s := smtp.NewServer(m)
	s.Domain, s.TLSConfig, s.AllowInsecureAuth, s.EnableSMTPUTF8 = "mail.test", config, true, true
	s.ErrorLog = log.New(io.Discard, "", 0)
	if implicit {
		l = tls.NewListener(l, config)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return m
}

// authority is a certificate authority of the test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.cert, a.key, _ = a.issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour)})
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) issue(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: "test"}
	template.NotBefore = time.Now().Add(-2 * time.Hour)
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, der
}

// server answers a configuration with a certificate for the loopback address, or for the names given.
func (a *authority) server(until time.Time, names ...string) *tls.Config {
	template := &x509.Certificate{NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: names}
	if len(names) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	_, key, der := a.issue(template)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func (a *authority) good() *tls.Config { return a.server(time.Now().Add(time.Hour)) }

// scripted answers each connection as talk wants.
func scripted(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				talk(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		open.Wait()
	})
	return l.Addr().String()
}

// between is a man in the middle: what the server answers goes through change before the client sees it, line by line, until
// it agrees to STARTTLS.
func between(t testing.TB, addr string, change func(line []byte) []byte) string {
	return scripted(t, func(client net.Conn) {
		server, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer server.Close()
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		}()
		var pending []byte
		buffer := make([]byte, 4096)
		for {
			n, err := server.Read(buffer)
			pending = append(pending, buffer[:n]...)
			for {
				i := bytes.IndexByte(pending, '\n')
				if i < 0 {
					break
				}
				line := pending[:i+1]
				pending = pending[i+1:]
				agreed := bytes.HasPrefix(line, []byte("220 2.0.0"))
				if _, err := client.Write(change(bytes.Clone(line))); err != nil {
					return
				}
				if agreed {
					_, _ = client.Write(pending)
					_, _ = io.Copy(client, server)
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
}

// sendOne connects and sends one mail.
func sendOne(t testing.TB, s *SMTP) error {
	t.Helper()
	c, err := s.Connect(context.Background(), "example.com")
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Send(context.Background(), Message{From: "auth@example.com", To: "alice@example.net", Data: []byte("Subject: x\r\n\r\nbody\r\n")})
}

func wantClass(t testing.TB, err error, want Class) *Failure {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure of class %s", err, want)
	}
	if f.Class != want {
		t.Fatalf("got %v of class %s, want %s", err, f.Class, want)
	}
	return f
}
