package caddymodule

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/ethereum/go-ethereum/crypto"
)

// Caddy keeps files of its own; none of them is anybody's but the tests'.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "authgate")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		os.Setenv(name, dir)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// house is a Caddy that runs in this process: one site on a free port.
type house struct {
	t    testing.TB
	port int
	dir  string // for its files; removed after it was stopped
}

func newHouse(t testing.TB) *house {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	h := &house{t: t, port: listener.Addr().(*net.TCPAddr).Port, dir: t.TempDir()}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// config is the JSON of a Caddyfile with these options of the app and these lines of the site.
func (h *house) config(app, site string) []byte {
	h.t.Helper()
	caddyfile := fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	storage file_system %s/caddy
	log {
		output discard
	}
	authgate {
		%s
	}
}
http://localhost:%d {
	bind 127.0.0.1
	%s
}
`, h.dir, app, h.port, site)
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, caddyfile)
	}
	return config
}

// open are options of an app that anybody may join, with a store that is the house's own.
func (h *house) open() string {
	return "registration open\nstore sqlite " + filepath.Join(h.dir, "accounts", "authgate.db") + "\n"
}

func (h *house) load(app, site string) {
	h.t.Helper()
	if err := caddy.Load(h.config(app, site), true); err != nil {
		h.t.Fatal(err)
	}
}

// ask sends a request over a connection of its own. A reload drops connections that wait on the listener it closes, so
// one that was dropped before an answer is sent again.
func (h *house) ask(method, path, body string, header ...string) (*http.Response, string) {
	h.t.Helper()
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
	for try := 0; ; try++ {
		r, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", h.port, path), strings.NewReader(body))
		if err != nil {
			h.t.Fatal(err)
		}
		r.Host = fmt.Sprintf("localhost:%d", h.port)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		response, err := client.Do(r)
		if err != nil {
			if try < 3 {
				continue
			}
			h.t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			h.t.Fatal(err)
		}
		return response, string(answer)
	}
}

// expect asks and checks status and a part of the body.
func (h *house) expect(status int, part string, method, path, body string, header ...string) string {
	h.t.Helper()
	response, answer := h.ask(method, path, body, header...)
	if response.StatusCode != status || !strings.Contains(answer, part) {
		h.t.Fatalf("%s %s: got %d %q, want %d with %q", method, path, response.StatusCode, answer, status, part)
	}
	return answer
}

// challenge asks for a message to sign.
func (h *house) challenge(key *ecdsa.PrivateKey) string {
	h.t.Helper()
	address := crypto.PubkeyToAddress(key.PublicKey).Hex()
	answer := h.expect(200, "challengeMessage", "POST", "/auth/challenge/create", fmt.Sprintf(`{"address":%q,"chainId":1}`, address))
	var a struct{ ChallengeMessage string }
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		h.t.Fatal(err)
	}
	return a.ChallengeMessage
}

// signed is the body that answers a challenge.
func signed(t testing.TB, key *ecdsa.PrivateKey, message string) string {
	t.Helper()
	hash := crypto.Keccak256(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d%s", len(message), message))
	signature, err := crypto.Sign(hash, key)
	if err != nil {
		t.Fatal(err)
	}
	body := new(bytes.Buffer)
	err = json.NewEncoder(body).Encode(map[string]string{"challenge": message, "signature": "0x" + hex.EncodeToString(signature)})
	if err != nil {
		t.Fatal(err)
	}
	return body.String()
}

// signIn answers an access token and the address that signed in.
func (h *house) signIn() (token, address string) {
	h.t.Helper()
	// A store that is still being opened refuses, and that takes its time where the machine has much else to do.
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if r, _ := h.ask("GET", "/auth/health/ready", ""); r.StatusCode == http.StatusOK {
			break
		}
	}
	key := newKey(h.t)
	answer := h.expect(200, "access_token", "POST", "/auth/challenge/sign", signed(h.t, key, h.challenge(key)))
	return accessToken(h.t, answer), crypto.PubkeyToAddress(key.PublicKey).Hex()
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func accessToken(t testing.TB, answer string) string {
	t.Helper()
	var a struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil || a.Token == "" {
		t.Fatalf("no access token in %q: %v", answer, err)
	}
	return a.Token
}
