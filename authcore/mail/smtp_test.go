package mail

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

func TestSMTPValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		in   SMTP
		want string
	}{
		{"good", SMTP{Addr: "smtp.example.com:587"}, ""},
		{"good with credentials", SMTP{Addr: "smtp.example.com:587", Username: "u", Password: "s3cret"}, ""},
		{"implicit", SMTP{Addr: "[2001:db8::1]:465", TLS: ImplicitTLS}, ""},
		{"off", SMTP{Addr: "relay:25", TLS: NoTLS}, ""},
		{"off with credentials on this machine", SMTP{Addr: "localhost:25", TLS: NoTLS, Username: "u", Password: "s3cret"}, ""},
		{"off with credentials on this machine by address", SMTP{Addr: "[::1]:25", TLS: NoTLS, Username: "u", Password: "s3cret"}, ""},
		{"no port", SMTP{Addr: "smtp.example.com"}, "host:port"},
		{"no host", SMTP{Addr: ":25"}, "host:port"},
		{"port 0", SMTP{Addr: "a:0"}, "host:port"},
		{"port too high", SMTP{Addr: "a:65536"}, "host:port"},
		{"port by name", SMTP{Addr: "a:smtp"}, "host:port"},
		{"line end", SMTP{Addr: "a\r\n:25"}, "host:port"},
		{"unknown mode", SMTP{Addr: "a:25", TLS: "maybe"}, `tls "maybe"`},
		{"user without password", SMTP{Addr: "a:25", Username: "u"}, "go together"},
		{"password without user", SMTP{Addr: "a:25", Password: "s3cret"}, "go together"},
		{"credentials in the open", SMTP{Addr: "a:25", TLS: NoTLS, Username: "u", Password: "s3cret"}, "without TLS"},
		{"credentials in the open to what sounds like here", SMTP{Addr: "localhost.example.com:25", TLS: NoTLS, Username: "u", Password: "s3cret"}, "without TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.in.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v tells the password", err)
			}
		})
	}
}

func TestParseFrom(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     From
		ok       bool
	}{
		{"with name", "Example <auth@example.com>", From{"Example", "auth@example.com", "example.com"}, true},
		{"address", "auth@example.com", From{"", "auth@example.com", "example.com"}, true},
		{"quoted name", `"Example, Inc." <auth@example.com>`, From{"Example, Inc.", "auth@example.com", "example.com"}, true},
		{"other letters", "Beispiel Ä <auth@bücher.example>", From{"Beispiel Ä", "auth@xn--bcher-kva.example", "xn--bcher-kva.example"}, true},
		{"on this machine", "auth@localhost", From{"", "auth@localhost", "localhost"}, true},
		{"no address", "Example", From{}, false},
		{"two", "a@example.com, b@example.com", From{}, false},
		{"other letters before the @", "käse@example.com", From{}, false},
		{"quoted local part", `"a b"@example.com`, From{}, false},
		{"line end", "Example <auth@example.com>\r\nBcc: x@example.com", From{}, false},
		{"literal", "auth@[127.0.0.1]", From{}, false},
		{"empty", "", From{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseFrom(c.in)
			if got != c.want || (err == nil) != c.ok {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestSendOverTLS(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		name     string
		mode     TLSMode
		implicit bool
	}{
		{"starttls", StartTLS, false},
		{"starttls by default", "", false},
		{"implicit", ImplicitTLS, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := (&mailServer{}).start(t, ca.good(), c.implicit)
			if err := sendOne(t, &SMTP{Addr: server.addr, TLS: c.mode, Roots: ca.pool}); err != nil {
				t.Fatal(err)
			}
			got := server.got()
			if len(got) != 1 || got[0].from != "auth@example.com" || got[0].to != "alice@example.net" {
				t.Fatalf("got %+v", got)
			}
			// Said of ASCII mails, servers that take ASCII only would have to refuse them.
			if got[0].utf8 {
				t.Error("the mail was announced as SMTPUTF8")
			}
			if host, _ := os.Hostname(); got[0].helo != "example.com" || got[0].helo == host {
				t.Errorf("introduced as %q", got[0].helo)
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		server := (&mailServer{}).start(t, nil, false)
		if err := sendOne(t, &SMTP{Addr: server.addr, TLS: NoTLS}); err != nil || len(server.got()) != 1 {
			t.Fatalf("got %v, %d mails", err, len(server.got()))
		}
	})
}

// A server that offers no STARTTLS gets neither mails nor credentials.
func TestNoStartTLS(t *testing.T) {
	server := (&mailServer{mech: []string{"PLAIN"}}).start(t, nil, false)
	err := sendOne(t, &SMTP{Addr: server.addr, Roots: newAuthority(t).pool, Username: testUser, Password: testPassword})
	wantClass(t, err, ClassTLS)
	if len(server.got()) != 0 || len(server.credentials) != 0 {
		t.Errorf("the server got %v and %v", server.got(), server.credentials)
	}
}

// Somebody on the way takes STARTTLS out of what the server offers, to read all that follows.
func TestAttackStripStartTLS(t *testing.T) {
	ca := newAuthority(t)
	server := (&mailServer{mech: []string{"PLAIN"}}).start(t, ca.good(), false)
	addr := between(t, server.addr, func(line []byte) []byte {
		if strings.Contains(string(line), "STARTTLS") {
			return []byte("250-XXXXXXXA\r\n")
		}
		return line
	})
	wantClass(t, sendOne(t, &SMTP{Addr: addr, Roots: ca.pool, Username: testUser, Password: testPassword}), ClassTLS)
	if len(server.got()) != 0 || len(server.credentials) != 0 {
		t.Errorf("the server got %v and %v", server.got(), server.credentials)
	}
}

// Somebody on the way refuses STARTTLS in the server's name.
func TestAttackRefuseStartTLS(t *testing.T) {
	ca := newAuthority(t)
	server := (&mailServer{}).start(t, ca.good(), false)
	addr := between(t, server.addr, func(line []byte) []byte {
		if strings.HasPrefix(string(line), "220 2.0.0") {
			return []byte("454 4.7.0 TLS not available\r\n")
		}
		return line
	})
	wantClass(t, sendOne(t, &SMTP{Addr: addr, Roots: ca.pool}), ClassTLS)
	if len(server.got()) != 0 {
		t.Errorf("the server got %v", server.got())
	}
}

// Somebody on the way answers in the open what the client will ask only under TLS, and hopes that it is read then.
func TestAttackAnswersBeforeTLS(t *testing.T) {
	ca := newAuthority(t)
	server := (&mailServer{mech: []string{"PLAIN"}}).start(t, ca.good(), false)
	addr := between(t, server.addr, func(line []byte) []byte {
		if strings.HasPrefix(string(line), "220 2.0.0") {
			return append(line, "250-evil\r\n250 AUTH CRAM-MD5\r\n235 welcome\r\n"...)
		}
		return line
	})
	// What came in the open is thrown away, so that all goes well, or is no handshake, so that nothing goes at all.
	err := sendOne(t, &SMTP{Addr: addr, Roots: ca.pool, Username: testUser, Password: testPassword})
	if err != nil {
		wantClass(t, err, ClassTLS)
	}
	if n := len(server.got()); (n == 1) != (err == nil) {
		t.Errorf("got %v, and the server %d mails", err, n)
	}
}

func TestBadCertificates(t *testing.T) {
	ca := newAuthority(t)
	hour := time.Now().Add(time.Hour)
	for _, c := range []struct {
		name     string
		by       *authority
		until    time.Time
		names    []string
		implicit bool
	}{
		{"another name", ca, hour, []string{"other.example.com"}, false},
		{"another name, implicit", ca, hour, []string{"other.example.com"}, true},
		{"expired", ca, time.Now().Add(-time.Hour), nil, false},
		{"expired, implicit", ca, time.Now().Add(-time.Hour), nil, true},
		{"unknown authority", newAuthority(t), hour, nil, false},
		{"unknown authority, implicit", newAuthority(t), hour, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := (&mailServer{mech: []string{"PLAIN"}}).start(t, c.by.server(c.until, c.names...), c.implicit)
			s := &SMTP{Addr: server.addr, Roots: ca.pool, Username: testUser, Password: testPassword}
			if c.implicit {
				s.TLS = ImplicitTLS
			}
			f := wantClass(t, sendOne(t, s), ClassTLS)
			if len(server.got()) != 0 || len(server.credentials) != 0 {
				t.Errorf("the server got %v and %v", server.got(), server.credentials)
			}
			var wrongName x509.HostnameError
			var invalid x509.CertificateInvalidError
			var unknown x509.UnknownAuthorityError
			if !errors.As(f, &wrongName) && !errors.As(f, &invalid) && !errors.As(f, &unknown) {
				t.Errorf("the operator is told only %v", f)
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		name     string
		mech     []string
		implicit bool
		user     string
		want     Class
	}{
		{"PLAIN", []string{"PLAIN"}, false, testUser, ""},
		{"PLAIN, implicit", []string{"PLAIN"}, true, testUser, ""},
		{"LOGIN", []string{"LOGIN"}, false, testUser, ""},
		{"SCRAM", []string{"LOGIN", "PLAIN", "SCRAM-SHA-256"}, false, testUser, ""},
		{"SCRAM, bound to the connection", []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}, false, testUser, ""},
		{"SCRAM, bound to the connection, implicit", []string{"SCRAM-SHA-256-PLUS"}, true, testUser, ""},
		{"SCRAM, bound to the connection, wrong", []string{"SCRAM-SHA-256-PLUS"}, false, "somebody", ClassAuth},
		{"unknown ones beside", []string{"CRAM-MD5", "XOAUTH2", "PLAIN"}, false, testUser, ""},
		{"PLAIN, wrong", []string{"PLAIN"}, false, "somebody", ClassAuth},
		{"LOGIN, wrong", []string{"LOGIN"}, false, "somebody", ClassAuth},
		{"SCRAM, wrong", []string{"SCRAM-SHA-256"}, false, "somebody", ClassAuth},
		{"unknown ones", []string{"NTLM", "CRAM-MD5"}, false, testUser, ClassAuth},
		{"none", nil, false, testUser, ClassAuth},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := (&mailServer{mech: c.mech}).start(t, ca.good(), c.implicit)
			s := &SMTP{Addr: server.addr, Roots: ca.pool, Username: c.user, Password: testPassword}
			if c.implicit {
				s.TLS = ImplicitTLS
			}
			err := sendOne(t, s)
			if c.want != "" {
				if f := wantClass(t, err, c.want); strings.Contains(f.Error(), testPassword) || len(server.got()) != 0 {
					t.Errorf("got %v, mails %v", f, server.got())
				}
				return
			}
			if err != nil || len(server.got()) != 1 {
				t.Fatalf("got %v, %d mails", err, len(server.got()))
			}
		})
	}
	t.Run("without TLS on this machine", func(t *testing.T) {
		server := (&mailServer{mech: []string{"PLAIN"}}).start(t, nil, false)
		if err := sendOne(t, &SMTP{Addr: server.addr, TLS: NoTLS, Username: testUser, Password: testPassword}); err != nil {
			t.Fatal(err)
		}
	})
}

// farAway is a connection that comes from another machine.
type farAway struct{ net.Conn }

func (farAway) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:25"))
}

// A name that means this machine in the configuration resolves to another one: no credentials go there in the open.
func TestAttackLoopbackNameElsewhere(t *testing.T) {
	server := (&mailServer{mech: []string{"PLAIN", "LOGIN", "SCRAM-SHA-256"}}).start(t, nil, false)
	raw, err := net.Dial("tcp", server.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	s := &SMTP{Addr: "localhost:25", TLS: NoTLS, Username: testUser, Password: testPassword}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	c := &connection{raw: farAway{raw}, command: time.Minute, data: time.Minute}
	f := wantClass(t, s.greet(c, c.raw, "example.com"), ClassAuth)
	if !errors.Is(f, errPlain) || len(server.credentials) != 0 {
		t.Errorf("got %v, the server got %v", f, server.credentials)
	}
}

// A server that sends back what it was sent must not get it into the log by an error.
func TestAttackServerEchoesCredentials(t *testing.T) {
	addr := scripted(t, func(c net.Conn) {
		in := bufio.NewScanner(c)
		fmt.Fprint(c, "220 hi\r\n")
		for in.Scan() {
			switch line := in.Text(); {
			case strings.HasPrefix(line, "EHLO"):
				fmt.Fprint(c, "250-hi\r\n250 AUTH LOGIN\r\n")
			case strings.HasPrefix(line, "AUTH"):
				fmt.Fprint(c, "334 VXNlcm5hbWU6\r\n")
			case line == "QUIT":
				return
			default: // asks with what it was answered
				fmt.Fprintf(c, "334 %s\r\n", line)
			}
		}
	})
	err := sendOne(t, &SMTP{Addr: addr, TLS: NoTLS, Username: "user", Password: "secret"})
	if f := wantClass(t, err, ClassAuth); strings.Contains(f.Error(), "secret") {
		t.Errorf("the error tells %v", f)
	}
}

func TestFailures(t *testing.T) {
	temporary := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "alice@example.net: later"}
	forGood := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no alice@example.net here"}
	closing := &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "bye alice@example.net"}
	for _, c := range []struct {
		name   string
		server *mailServer
		want   Class
		alive  bool
	}{
		{"sender refused", &mailServer{mail: func(int) error { return forGood }}, ClassFrom, true},
		{"sender later", &mailServer{mail: func(int) error { return temporary }}, ClassTemporary, true},
		{"closing at the sender", &mailServer{mail: func(int) error { return closing }}, ClassLost, false},
		{"recipient refused", &mailServer{rcpt: func(int, string) error { return forGood }}, ClassRefused, true},
		{"recipient later", &mailServer{rcpt: func(int, string) error { return temporary }}, ClassTemporary, true},
		{"closing at the recipient", &mailServer{rcpt: func(int, string) error { return closing }}, ClassLost, false},
		{"message refused", &mailServer{data: func(_ int, _ *conversation, r io.Reader) error {
			_, _ = io.Copy(io.Discard, r)
			return forGood
		}}, ClassRefused, true},
		{"message later", &mailServer{data: func(_ int, _ *conversation, r io.Reader) error {
			_, _ = io.Copy(io.Discard, r)
			return temporary
		}}, ClassTemporary, true},
		{"gone in the middle of the message", &mailServer{data: func(_ int, c *conversation, r io.Reader) error {
			_, _ = io.ReadFull(r, make([]byte, 5))
			return c.conn.Conn().Close()
		}}, ClassLost, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := c.server.start(t, nil, false)
			conn, err := (&SMTP{Addr: server.addr, TLS: NoTLS}).Connect(t.Context(), "example.com")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			m := Message{From: "auth@example.com", To: "alice@example.net", Data: []byte("Subject: x\r\n\r\nbody\r\n")}
			f := wantClass(t, conn.Send(t.Context(), m), c.want)
			if conn.Alive() != c.alive {
				t.Errorf("alive: %v", conn.Alive())
			}
			// What the server says quotes the recipient; the log must not have it.
			if strings.Contains(f.Error(), "alice") {
				t.Errorf("the error tells the recipient: %v", f)
			}
			if c.alive { // else the server may still be at it
				server.mail, server.rcpt, server.data = nil, nil, nil
			}
			err = conn.Send(t.Context(), m)
			if c.alive != (err == nil) {
				t.Errorf("the next mail: %v", err)
			}
			if want := map[bool]int{true: 1}[c.alive]; len(server.got()) != want {
				t.Errorf("the server took %d mails, want %d", len(server.got()), want)
			}
		})
	}
}

// Who can choose an address adds another one, or parameters, behind it.
func TestAttackEnvelope(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	conn, err := (&SMTP{Addr: server.addr, TLS: NoTLS}).Connect(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, to := range []string{
		"", "alice", "a@b> NOTIFY=NEVER", "a@b>\r\nRCPT TO:<eve@example.com", "a@b\r\nDATA", `"a@evil.com> x"@b`, "a@b,c@d",
		"a@@b", ".a@b", "a@b.", "ä@b", "a@[127.0.0.1]", "a b@c", "@c:a@b", strings.Repeat("a", 65) + "@b", "a@" + strings.Repeat("b", 254),
	} {
		if err := conn.Send(t.Context(), Message{From: "auth@example.com", To: to}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v", to, err)
		}
		if err := conn.Send(t.Context(), Message{From: to, To: "alice@example.net"}); !errors.Is(err, ErrInvalid) {
			t.Errorf("from %q: got %v", to, err)
		}
	}
	if len(server.got()) != 0 {
		t.Errorf("the server got %v", server.got())
	}
}

// A server that never answers, or answers a byte now and then, holds nobody up for longer than a step may take.
func TestSlowServers(t *testing.T) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	drip := func(c net.Conn) {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if _, err := c.Write([]byte("2")); err != nil {
				return
			}
		}
	}
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	for _, c := range []struct {
		name string
		talk func(net.Conn)
		mode TLSMode
		want Class
	}{
		{"no greeting", silent, NoTLS, ClassConnect},
		{"no TLS", silent, ImplicitTLS, ClassTLS},
		{"an endless greeting, slowly", drip, NoTLS, ClassConnect},
		{"no answer to the greeting", func(c net.Conn) {
			fmt.Fprint(c, "220 hi\r\n")
			silent(c)
		}, NoTLS, ClassConnect},
		{"no answer to STARTTLS", func(c net.Conn) {
			fmt.Fprint(c, "220 hi\r\n")
			in := bufio.NewReader(c)
			_, _ = in.ReadString('\n')
			fmt.Fprint(c, "250-hi\r\n250 STARTTLS\r\n")
			_, _ = in.ReadString('\n')
			fmt.Fprint(c, "220 go\r\n")
			silent(c)
		}, StartTLS, ClassTLS},
		{"no answer to a mail", func(c net.Conn) {
			fmt.Fprint(c, "220 hi\r\n")
			in := bufio.NewReader(c)
			_, _ = in.ReadString('\n')
			fmt.Fprint(c, "250 hi\r\n")
			silent(c)
		}, NoTLS, ClassLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &SMTP{
				Addr: scripted(t, c.talk), TLS: c.mode, DialTimeout: 2 * time.Second,
				CommandTimeout: 2 * time.Second, DataTimeout: 2 * time.Second, // enough for the steps before, on any machine
			}
			began := time.Now()
			wantClass(t, sendOne(t, s), c.want)
			if took := time.Since(began); took > 18*time.Second { // less than any default
				t.Errorf("took %v", took)
			}
		})
	}
}

// An answer without end fills the memory of who reads it whole.
func TestAttackEndlessAnswer(t *testing.T) {
	written := make(chan int, 1)
	addr := scripted(t, func(c net.Conn) {
		n, line := 0, []byte("220-"+strings.Repeat("x", 1000)+"\r\n")
		for n < 64<<20 {
			k, err := c.Write(line)
			n += k
			if err != nil {
				break
			}
		}
		written <- n
	})
	f := wantClass(t, sendOne(t, &SMTP{Addr: addr, TLS: NoTLS, CommandTimeout: time.Minute}), ClassConnect)
	if !errors.Is(f, errTooMuch) {
		t.Errorf("got %v", f)
	}
	if n := <-written; n >= 64<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

// The end of the context ends what is under way.
func TestConnectEndsWithContext(t *testing.T) {
	addr := scripted(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	began := time.Now()
	_, err := (&SMTP{Addr: addr, TLS: NoTLS}).Connect(ctx, "example.com")
	wantClass(t, err, ClassConnect)
	if took := time.Since(began); took > 18*time.Second { // less than any default
		t.Errorf("took %v", took)
	}
}
