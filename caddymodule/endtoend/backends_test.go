package endtoend

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Backends that know nothing of the gateway, as they are packaged and configured as their own documents say.

// needs answers where a program is, and skips the test where it is not there.
func needs(t *testing.T, name string) string {
	t.Helper()
	for _, file := range []string{name, filepath.Join("/usr/sbin", name), filepath.Join("/usr/local/sbin", name)} { // not in everybody's PATH
		if program, err := exec.LookPath(file); err == nil {
			return program
		}
	}
	t.Skipf("%s is not here: install it, as testdata/test.sh does", name) // which fails on any skip
	return ""
}

// serve runs a server until the test ends, and waits until something listens on the port.
func serve(t *testing.T, port int, name string, args ...string) {
	t.Helper()
	program := needs(t, name)
	out := new(output)
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, tail(out.String(), 6000))
		}
	})
	if !eventually(time.Minute, func() bool {
		select {
		case <-ended:
			t.Fatalf("%s ended at its start: %s", name, out)
		default:
		}
		conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}) {
		t.Fatalf("%s does not listen", name)
	}
}

// write writes a file of a server's configuration.
func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// accessToken is a personal access token.
type accessToken struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

// accessToken makes one for whoever has signed in.
func (g *gate) accessToken(t *testing.T, owner signedIn, name string) (made accessToken) {
	t.Helper()
	g.post(t, "tokens", map[string]any{"name": name}, owner.bearer()).into(t, http.StatusCreated, &made)
	return made
}

// password is the header line of a client that asks for a username and a password.
func (a accessToken) password() string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("phone:"+a.Token))
}

// A calendar server that believes X-Remote-User, as its documents have it behind a proxy, and a client of it that knows
// nothing but a username and a password: it has a personal access token.
func TestRadicale(t *testing.T) {
	t.Parallel()
	port, dir := freePort(t), t.TempDir()
	serve(t, port, "radicale", "--config", write(t, filepath.Join(dir, "config"), fmt.Sprintf(`[server]
hosts = 127.0.0.1:%d
[auth]
type = http_x_remote_user
[rights]
type = owner_only
[storage]
filesystem_folder = %s
`, port, dir)))
	g := start(t, setup{
		site:   "header X-Remote-User {username}",
		routes: fmt.Sprintf("reverse_proxy 127.0.0.1:%d", port),
	})
	alice, bob := g.signIn(t, walletOf("alice")), g.signIn(t, walletOf("bob"))
	token, others := g.accessToken(t, alice, "calendar"), g.accessToken(t, bob, "calendar")
	home := "/" + alice.User.Username + "/"
	dav := func(method, target, body string, status int, lines ...string) answer {
		t.Helper()
		a := g.send(t, requestBody(method, target, body, lines...))
		if a.status != status {
			t.Fatalf("%s %s: %d, want %d: %s", method, target, a.status, status, head(a.body))
		}
		return a
	}

	// Who brings nothing is asked for a password, by the gate.
	a := dav("PROPFIND", "/", "", http.StatusUnauthorized)
	if !strings.Contains(strings.Join(a.header.Values("Www-Authenticate"), ", "), "Basic ") {
		t.Errorf("a DAV client is not asked for a password: %v", a.header)
	}
	const who = `<?xml version="1.0"?><propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>`
	xml := []string{"Content-Type: application/xml; charset=utf-8"}
	a = dav("PROPFIND", "/", who, http.StatusMultiStatus, append(xml, token.password(), "Depth: 0")...)
	if !strings.Contains(a.body, "<href>"+home+"</href>") {
		t.Errorf("the principal is another: %s", a.body)
	}
	dav("MKCALENDAR", home+"work/", "", http.StatusCreated, token.password())
	const event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\n" +
		"DTSTART:20260102T090000Z\r\nSUMMARY:Übung\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	dav("PUT", home+"work/one.ics", event, http.StatusCreated, token.password(), "Content-Type: text/calendar; charset=utf-8", "If-None-Match: *")
	if a := dav("GET", home+"work/one.ics", "", http.StatusOK, token.password()); !strings.Contains(a.body, "SUMMARY:Übung") {
		t.Errorf("got %s", a.body)
	}
	const query = `<?xml version="1.0"?><c:calendar-query xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><prop><getetag/></prop>` +
		`<c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"/></c:comp-filter></c:filter></c:calendar-query>`
	if a := dav("REPORT", home+"work/", query, http.StatusMultiStatus, append(xml, token.password(), "Depth: 1")...); !strings.Contains(a.body, "one.ics") {
		t.Errorf("the event is not found: %s", a.body)
	}
	// The sign-in of a browser or a program is the same person.
	dav("GET", home+"work/one.ics", "", http.StatusOK, alice.bearer())

	// Somebody else has a calendar of their own and not this one, whatever they write themselves.
	for _, lines := range [][]string{
		{others.password()},
		{others.password(), "X-Remote-User: " + alice.User.Username},
		{others.password(), "x_remote_user: " + alice.User.Username},
		{others.password(), "Connection: X-Remote-User", "X-Remote-User: " + alice.User.Username},
	} {
		if a := g.send(t, request("GET", home+"work/one.ics", lines...)); a.status != http.StatusForbidden || strings.Contains(a.body, "SUMMARY") {
			t.Errorf("%q: %d %s", lines[1:], a.status, head(a.body))
		}
	}
	dav("GET", home+"work/one.ics", "", http.StatusUnauthorized, "X-Remote-User: "+alice.User.Username)

	// A phone that is lost.
	dav("DELETE", "/auth/tokens/"+token.ID, "", http.StatusNoContent, alice.bearer())
	dav("GET", home+"work/one.ics", "", http.StatusUnauthorized, token.password())
}

// A notebook that believes the header that it is told of, by the names of another gateway that it was behind before: its page,
// what it says of who is there, and notes that only those may write whom it names.
func TestTiddlyWiki(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "notes")
	const program = "../../testdata/e2e/node_modules/tiddlywiki/tiddlywiki.js"
	if _, err := os.Stat(program); err != nil {
		t.Skipf("%v: install it, as testdata/test.sh does", err) // which fails on any skip
	}
	if out, err := exec.Command("node", program, dir, "--init", "server").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	port, alice := freePort(t), walletOf("alice")
	serve(t, port, "node", program, dir, "--listen", "host=127.0.0.1", "port="+strconv.Itoa(port),
		"authenticated-user-header=Remote-User", "readers=(authenticated)", "writers="+alice.address)
	g := start(t, setup{site: "headers authelia", routes: fmt.Sprintf("reverse_proxy 127.0.0.1:%d", port)})
	owner, reader := g.signIn(t, alice), g.signIn(t, walletOf("bob"))
	// Its client sends this along with what changes anything.
	put := []string{"X-Requested-With: TiddlyWiki", "Content-Type: application/json"}

	for who, s := range map[string]signedIn{"owner": owner, "reader": reader} {
		var status struct {
			Username  string
			Anonymous bool
			ReadOnly  bool `json:"read_only"`
		}
		g.get(t, "/status", s.bearer()).into(t, http.StatusOK, &status)
		if status.Username != s.User.Username || status.Anonymous || status.ReadOnly != (who == "reader") {
			t.Errorf("%s: %+v, want %s", who, status, s.User.Username)
		}
		if a := g.get(t, "/", s.bearer()); a.status != http.StatusOK || !strings.Contains(a.body, "tiddlywiki") {
			t.Errorf("%s: %d %s", who, a.status, head(a.body))
		}
	}
	const note, text = "/recipes/default/tiddlers/plan", `{"title":"plan","text":"zuerst Kaffee"}`
	g.send(t, requestBody("PUT", note, text, append(put, owner.bearer())...)).want(t, http.StatusNoContent)
	if a := g.get(t, note, reader.bearer()); !strings.Contains(a.body, "zuerst Kaffee") {
		t.Errorf("%d %s", a.status, head(a.body))
	}
	for _, lines := range [][]string{{}, {"Remote-User: " + owner.User.Username}, {"remote.user: " + owner.User.Username}} {
		if a := g.send(t, requestBody("PUT", note, `{"text":"mine"}`, append(append(put, reader.bearer()), lines...)...)); a.status < 400 {
			t.Errorf("%q writes: %d", lines, a.status)
		}
		g.send(t, requestBody("PUT", note, `{"text":"mine"}`, append(put, lines...)...)).want(t, http.StatusUnauthorized)
	}
	if a := g.get(t, note, owner.bearer()); !strings.Contains(a.body, "zuerst Kaffee") {
		t.Errorf("somebody else has written: %s", head(a.body))
	}
}

// A broker of messages over websockets: MQTT, in frames that it reads and writes itself.
func TestMosquitto(t *testing.T) {
	t.Parallel()
	port, dir := freePort(t), t.TempDir()
	user := ""
	if os.Getuid() == 0 {
		user = "user root\n" // else it becomes another one, who cannot read this folder
	}
	serve(t, port, "mosquitto", "-c", write(t, filepath.Join(dir, "mosquitto.conf"),
		// Some versions want a listener for the bare protocol too.
		fmt.Sprintf("%slistener 0 %s/socket\nlistener %d 127.0.0.1\nprotocol websockets\nallow_anonymous true\npersistence false\n", user, dir, port)))
	g := start(t, setup{routes: fmt.Sprintf("reverse_proxy 127.0.0.1:%d", port)})
	alice := g.signInBrowser(t, walletOf("alice"))
	const asked = "Sec-WebSocket-Protocol: mqtt"
	origin := "Origin: " + g.origin

	if _, a := g.open(t, "/mqtt", asked, origin); a.status != http.StatusUnauthorized {
		t.Fatalf("signed out: %d", a.status)
	}
	if _, a := g.open(t, "/mqtt", asked, alice.cookieLine(), "Origin: https://attacker.example"); a.status != http.StatusForbidden {
		t.Fatalf("from another origin: %d", a.status)
	}
	for name, lines := range map[string][]string{
		"browser": {alice.cookieLine(), origin},
		"device":  {g.accessToken(t, g.signIn(t, walletOf("bob")), "sensor").password()},
	} {
		conn, a := g.open(t, "/mqtt", append(lines, asked)...)
		if a.status != http.StatusSwitchingProtocols || a.header.Get("Sec-Websocket-Protocol") != "mqtt" {
			t.Fatalf("%s: %d %v", name, a.status, a.header)
		}
		client := mqtt{t, conn, nil}
		client.send("\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04" + name[:4]) // CONNECT, MQTT 3.1.1 section 3.1
		client.want("\x20\x02\x00\x00")                                        // CONNACK
		client.send("\x82\x09\x00\x01\x00\x04" + name[:4] + "\x00")            // SUBSCRIBE
		client.want("\x90\x03\x00\x01\x00")                                    // SUBACK
		client.send("\x30\x0b\x00\x04" + name[:4] + "hello")                   // PUBLISH
		client.want("\x30\x0b\x00\x04" + name[:4] + "hello")
		if name == "browser" {
			g.signOut(t, alice.cookieLine())
			if !endsWithin(t, conn, time.Minute) {
				t.Error("the websocket is open after sign-out")
			}
		}
	}
}

// mqtt is a client of a broker, in binary frames of a websocket (RFC 6455 section 5.2).
type mqtt struct {
	t    *testing.T
	conn net.Conn
	got  []byte
}

// send sends a packet in a frame, masked with zeros.
func (m *mqtt) send(packet string) {
	m.t.Helper()
	if _, err := io.WriteString(m.conn, "\x82"+string([]byte{0x80 | byte(len(packet))})+"\x00\x00\x00\x00"+packet); err != nil {
		m.t.Fatal(err)
	}
}

// want wants the next bytes of the broker to be these, in however many frames.
func (m *mqtt) want(packet string) {
	m.t.Helper()
	if err := m.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		m.t.Fatal(err)
	}
	for len(m.got) < len(packet) {
		head := make([]byte, 2)
		_, err := io.ReadFull(m.conn, head)
		payload := make([]byte, head[1]&0x7f)
		if err == nil {
			_, err = io.ReadFull(m.conn, payload)
		}
		if err == nil && head[0]&0x0f == 8 {
			err = errors.New("the broker has closed it")
		}
		if err != nil {
			m.t.Fatalf("%q instead of %q: %v", m.got, packet, err)
		}
		m.got = append(m.got, payload...)
	}
	if string(m.got[:len(packet)]) != packet {
		m.t.Fatalf("%q instead of %q", m.got, packet)
	}
	m.got = m.got[len(packet):]
}
