//go:build unix

package redisstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// authority vouches for servers.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if template, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return authority{key, template, pemFile(t, "ca.pem", "CERTIFICATE", der)}
}

// certify answers the files of a certificate for a server and its key.
func (a authority) certify(t *testing.T, until time.Time, ip net.IP, names ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: names, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, "cert.pem", "CERTIFICATE", der), pemFile(t, "key.pem", "EC PRIVATE KEY", secret)
}

func pemFile(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Somebody between the gate and its server shows a certificate of their own: there is no connection, and none without
// encryption or verification in its place.
func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	loopback := net.IPv4(127, 0, 0, 1)
	start := func(until time.Time, ip net.IP, names ...string) *servers.RedisServer {
		cert, key := ours.certify(t, until, ip, names...)
		return servers.Redis(t, "--port", "0", "--tls-port", "{port}", "--tls-cert-file", cert, "--tls-key-file", key,
			"--tls-ca-cert-file", ours.file, "--tls-auth-clients", "no", "--requirepass", "secret")
	}
	soon := time.Now().Add(time.Hour)
	good, expired := start(soon, loopback), start(time.Now().Add(-time.Minute), loopback)
	named := start(soon, nil, "redis.example.com")
	plain := servers.Redis(t)
	for _, c := range []struct {
		name   string
		config Config
		ok     bool
	}{
		{"right", Config{URLs: []string{"rediss://:secret@" + good.Addr}, CAFile: ours.file}, true},
		{"right by name", Config{URLs: []string{"rediss://:secret@" + named.Addr}, CAFile: ours.file, ServerName: "redis.example.com"}, true},
		{"wrong authority", Config{URLs: []string{"rediss://:secret@" + good.Addr}, CAFile: theirs.file}, false},
		{"authorities of the system", Config{URLs: []string{"rediss://:secret@" + good.Addr}}, false},
		{"expired", Config{URLs: []string{"rediss://:secret@" + expired.Addr}, CAFile: ours.file}, false},
		{"of another host", Config{URLs: []string{"rediss://:secret@" + named.Addr}, CAFile: ours.file}, false},
		{"of another name", Config{URLs: []string{"rediss://:secret@" + good.Addr}, CAFile: ours.file, ServerName: "redis.example.com"}, false},
		{"a server without TLS", Config{URLs: []string{"rediss://:secret@" + plain.Addr}, CAFile: ours.file}, false},
		{"a client without TLS", Config{URLs: []string{"redis://:secret@" + good.Addr}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.Context(), c.config)
			if !c.ok {
				if !errors.Is(err, authcore.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			create(t, s, "a")
			consume(t, s, "a", nil)
		})
	}
	if _, err := Open(t.Context(), Config{URLs: []string{"rediss://" + good.Addr}, CAFile: "/nonexistent"}); err == nil {
		t.Error("a file that is not there was no error")
	}
	if _, err := Open(t.Context(), Config{URLs: []string{"rediss://" + good.Addr}, CAFile: "tls_test.go"}); err == nil {
		t.Error("a file without certificates was no error")
	}
}
