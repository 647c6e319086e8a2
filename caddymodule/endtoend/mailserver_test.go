package endtoend

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// What the gateway signs in to the mail server with.
const (
	mailUser   = "auth@example.com"
	mailSecret = "smtp-secret-of-the-tests"
)

// mailServer is an SMTP server that insists on TLS (STARTTLS) and on the password, keeps what it takes, and can be down
// or slow.
type mailServer struct {
	t           testing.TB
	port        int
	authority   string // file with its certificate, for SSL_CERT_FILE
	certificate tls.Certificate

	mu       sync.Mutex
	server   *smtp.Server
	taken    []letter
	sessions int
	hold     chan struct{} // what Data waits for; nil: nothing
	holding  int           // mails that wait for it
}

// letter is a mail as it was taken.
type letter struct {
	from, to string
	raw      string
}

// newMailServer makes a server that does not listen yet.
func newMailServer(t testing.TB) *mailServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{
		t: t, port: freePort(t), authority: filepath.Join(t.TempDir(), "mail.pem"),
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
	if err := os.WriteFile(s.authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

// startMailServer makes a server that listens.
func startMailServer(t testing.TB) *mailServer {
	t.Helper()
	s := newMailServer(t)
	s.start()
	return s
}

func (s *mailServer) start() {
	s.t.Helper()
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sessions++
		return &mailSession{server: s}, nil
	}))
	server.Domain = "localhost"
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{s.certificate}}
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	server.ErrorLog = silent{} // clients that are killed are no errors here
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	go func() { _ = server.Serve(listener) }()
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// stop closes the server with all its connections; start opens it again.
func (s *mailServer) stop() {
	s.mu.Lock()
	server := s.server
	s.server = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// slow makes the server take its time with each mail, until the function is called.
func (s *mailServer) slow() (release func()) {
	hold := make(chan struct{})
	s.mu.Lock()
	s.hold = hold
	s.mu.Unlock()
	s.t.Cleanup(sync.OnceFunc(func() { closeOnce(hold) }))
	return func() {
		s.mu.Lock()
		s.hold = nil
		s.mu.Unlock()
		closeOnce(hold)
	}
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// held is how many mails have got to the server and wait to be taken.
func (s *mailServer) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding
}

func (s *mailServer) letters() []letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]letter(nil), s.taken...)
}

// to answers the letters to an address, in the order in which they came.
func (s *mailServer) to(address string) []letter {
	var all []letter
	for _, l := range s.letters() {
		if l.to == address {
			all = append(all, l)
		}
	}
	return all
}

// wait answers the letters to an address once there are n, and fails where there are more.
func (s *mailServer) wait(t testing.TB, address string, n int) []letter {
	t.Helper()
	if !eventually(30*time.Second, func() bool { return len(s.to(address)) >= n }) {
		t.Fatalf("%d letters to %s, want %d", len(s.to(address)), address, n)
	}
	got := s.to(address)
	if len(got) != n {
		t.Fatalf("%d letters to %s, want %d", len(got), address, n)
	}
	return got
}

type mailSession struct {
	server *mailServer
	known  bool
	letter letter
}

func (m *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (m *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != mailUser || password != mailSecret {
			return smtp.ErrAuthFailed
		}
		m.known = true
		return nil
	}), nil
}

func (m *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if !m.known {
		return smtp.ErrAuthRequired
	}
	m.letter = letter{from: from}
	return nil
}

func (m *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if m.letter.to != "" {
		return errors.New("one recipient a mail")
	}
	m.letter.to = to
	return nil
}

func (m *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s := m.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if hold := s.hold; hold != nil {
		s.holding++
		s.mu.Unlock()
		<-hold
		s.mu.Lock()
		s.holding--
	}
	m.letter.raw = string(raw)
	s.taken = append(s.taken, m.letter)
	return nil
}

func (m *mailSession) Reset()        { m.letter = letter{} }
func (m *mailSession) Logout() error { return nil }

// header answers a header of the letter, decoded.
func (l letter) header(t testing.TB, name string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(l.raw))
	if err != nil {
		t.Fatal(err)
	}
	value, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(name))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// text answers the part of the letter that is plain text, decoded.
func (l letter) text(t testing.TB) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(l.raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q: %v", kind, err)
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := parts.NextPart() // decodes quoted-printable
		if err != nil {
			t.Fatalf("no plain text in %q: %v", l.raw, err)
		}
		if !strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
			continue
		}
		var text bytes.Buffer
		if _, err := text.ReadFrom(part); err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(text.String(), "\r\n", "\n")
	}
}

var linkInMail = regexp.MustCompile(`https?://\S+#\S+`)

// key answers the key in the link of the letter, which must lead to this page.
func (l letter) key(t testing.TB, page string) string {
	t.Helper()
	links := linkInMail.FindAllString(l.text(t), -1)
	if len(links) != 1 {
		t.Fatalf("%d links in %q", len(links), l.text(t))
	}
	before, key, _ := strings.Cut(links[0], "#")
	if before != page || key == "" {
		t.Fatalf("link to %q, want %q", before, page)
	}
	return key
}
