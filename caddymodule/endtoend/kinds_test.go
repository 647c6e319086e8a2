package endtoend

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// client1 speaks HTTP/1.1 to a gate with TLS.
func (g *gate) client1(t *testing.T) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// What each kind of client is answered does not depend on which HTTP it speaks.
func TestKindsOverEveryProtocol(t *testing.T) {
	t.Parallel()
	g := start(t, setup{tls: true})
	alice := g.signInBrowser(t, walletOf("alice"))
	clients := g.clients(t)
	clients["HTTP/1.1"] = g.client1(t)
	const html = "text/html,application/xhtml+xml,*/*;q=0.8"
	basic, bearer := `Basic realm="`+g.origin+`", charset="UTF-8"`, `Bearer realm="`+g.origin+`"`
	toSignIn := "/auth/sign-in?return_to=%2Freports%2Fx"
	kinds := []struct {
		name, method string
		header       http.Header
		status       int // signed out
		to           string
		challenges   []string
	}{
		{"navigation", "GET", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {html}}, 302, toSignIn, nil},
		{"form", "POST", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {html}}, 303, toSignIn, nil},
		{"older browser", "GET", http.Header{"User-Agent": {"Mozilla/5.0"}, "Accept": {html}}, 302, toSignIn, nil},
		{"fetch", "GET", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}}, 401, "", []string{bearer}},
		{"preflight", "OPTIONS", http.Header{"Origin": {"https://other.example"}, "Access-Control-Request-Method": {"PUT"}}, 401, "", []string{bearer}},
		{"EventSource", "GET", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Accept": {"text/event-stream"}}, 401, "", []string{bearer}},
		{"service worker", "GET", http.Header{"Sec-Fetch-Mode": {"same-origin"}, "Sec-Fetch-Dest": {"serviceworker"}, "Service-Worker": {"script"}}, 401, "", []string{bearer}},
		{"manifest", "GET", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"manifest"}}, 401, "", []string{bearer}},
		{"prefetch", "GET", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {html}, "Sec-Purpose": {"prefetch;prerender"}}, 401, "", []string{bearer}},
		{"program", "GET", http.Header{"Accept": {"*/*"}}, 401, "", []string{basic, bearer}},
		{"DAV", "PROPFIND", http.Header{"Depth": {"0"}}, 401, "", []string{basic, bearer}},
	}
	for proto, client := range clients {
		for _, kind := range kinds {
			code, header := g.ask(t, client, proto, kind.method, "/reports/x", nil, kind.header.Clone())
			if code != kind.status || header.Get("Location") != kind.to || !slices.Equal(header["Www-Authenticate"], kind.challenges) {
				t.Errorf("%s over %s: %d to %q, %q", kind.name, proto, code, header.Get("Location"), header["Www-Authenticate"])
			}
			in := kind.header.Clone()
			in.Set("Cookie", alice.cookie)
			code, header = g.ask(t, client, proto, kind.method, "/admin/x", nil, in)
			page := strings.HasPrefix(header.Get("Content-Type"), "text/html")
			if code != 403 || page != (kind.to != "") {
				t.Errorf("%s over %s, not allowed: %d %s", kind.name, proto, code, header.Get("Content-Type"))
			}
			if kind.method == "OPTIONS" {
				continue
			}
			in.Set("Cookie", alice.cookie)
			if code, _ = g.ask(t, client, proto, kind.method, "/reports/x", nil, in); code != 200 {
				t.Errorf("%s over %s, allowed: %d", kind.name, proto, code)
			}
			g.backend.take()
		}
	}
}

// A preflight reaches the backend where a rule says so, as from nobody.
func TestPreflightReachesTheBackend(t *testing.T) {
	t.Parallel()
	g := start(t, setup{tls: true, site: `
		allow role admin /api/* {
			method PUT
			preflight
		}`})
	clients := g.clients(t)
	clients["HTTP/1.1"] = g.client1(t)
	for proto, client := range clients {
		ask := func(method, target string) int {
			code, _ := g.ask(t, client, proto, "OPTIONS", target, nil, http.Header{
				"Origin": {"https://other.example"}, "Access-Control-Request-Method": {method}, "Remote-User": {forged}, "Cookie": {"app=1"},
			})
			return code
		}
		if code := ask("PUT", "/api/x"); code != 200 {
			t.Errorf("%s: %d", proto, code)
		}
		a := g.backend.one(t)
		if !strings.HasPrefix(a.line, "OPTIONS /api/x ") || strings.Contains(a.raw, forged) || strings.Contains(a.raw, "app=1") || len(a.values("Access-Control-Request-Method")) != 1 {
			t.Errorf("%s: %q", proto, a.raw)
		}
		for _, refused := range []int{ask("DELETE", "/api/x"), ask("PUT", "/x"), ask("PUT", "/x/..%2Fapi/x")} {
			if refused != 401 && refused != 403 {
				t.Errorf("%s: %d", proto, refused)
			}
		}
		g.backend.none(t)
	}
}

// A websocket that is refused gets an HTTP answer, and the connection carries the next request.
func TestWebsocketRefusals(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	s := g.signInBrowser(t, walletOf("alice"))
	own := []string{s.cookieLine(), "Origin: " + g.origin}
	for _, c := range []struct {
		name, target string
		lines        []string
		status       int
		code         string
	}{
		{"signed out", "/ws", []string{"Origin: " + g.origin}, 401, "unauthenticated"},
		{"signed out, says it takes pages", "/ws", []string{"Accept: text/html", "Sec-Fetch-Mode: websocket"}, 401, "unauthenticated"},
		{"not allowed", "/admin/ws", own, 403, "forbidden"},
		{"foreign origin", "/ws", []string{s.cookieLine(), "Origin: https://evil.example"}, 403, "cross_origin"},
		{"no sane path", "/public/%00", own, 400, "invalid_target"},
	} {
		conn, a := g.open(t, c.target, c.lines...)
		a.wantProblem(t, c.status, c.code)
		if got := a.header["Www-Authenticate"]; (c.status == 401) != slices.Equal(got, []string{`Bearer realm="` + g.origin + `"`}) {
			t.Errorf("%s: %q", c.name, got)
		}
		if next, err := g.exchange(conn, request("GET", "/auth/health/live")); err != nil || next.status != 200 {
			t.Errorf("%s: the next request: %v %v", c.name, next.status, err)
		}
		g.backend.none(t)
	}
}

// connect3 sends an extended CONNECT over HTTP/3 (RFC 9220).
func (g *gate) connect3(t *testing.T, protocol, target string, header http.Header) (*http3.RequestStream, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(g.port))
	conn, err := quic.DialAddr(ctx, address, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	client := new(http3.Transport).NewClientConn(conn)
	select {
	case <-client.ReceivedSettings():
	case <-ctx.Done():
		t.Fatal("no settings")
	}
	if !client.Settings().EnableExtendedConnect {
		t.Fatal("the server takes no extended CONNECT: this test sees nothing")
	}
	stream, err := client.OpenRequestStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodConnect, g.origin+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Proto, r.Host, r.Header = protocol, g.host, header
	r.Header.Set("Sec-Websocket-Version", "13")
	if err := stream.SendRequestHeader(r); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.ReadResponse()
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	return stream, resp
}

func TestWebsocketOverHTTP3(t *testing.T) {
	t.Parallel()
	g := start(t, setup{tls: true})
	s := g.signInBrowser(t, walletOf("alice"))
	own := func() http.Header { return http.Header{"Cookie": {s.cookie}, "Origin": {g.origin}} }
	for _, c := range []struct {
		name, protocol, target string
		header                 http.Header
		want                   int
	}{
		{"signed out", "websocket", "/ws", http.Header{"Origin": {g.origin}}, 401},
		{"not allowed", "websocket", "/admin/ws", own(), 403},
		{"reading of the path", "websocket", "/public/..;/admin/ws", own(), 403},
		{"foreign origin", "websocket", "/ws", http.Header{"Cookie": {s.cookie}, "Origin": {"https://evil.example"}}, 403},
		{"other protocol", "connect-udp", "/public/x", own(), 400},
	} {
		_, resp := g.connect3(t, c.protocol, c.target, c.header)
		if resp.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", c.name, resp.Status, c.want)
		}
		g.backend.none(t)
	}
	stream, resp := g.connect3(t, "websocket", "/ws", own())
	if resp.StatusCode != 200 {
		t.Fatalf("the websocket does not pass: %s", resp.Status)
	}
	if err := stream.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(stream, got); err != nil || string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	a := g.backend.one(t)
	if !strings.HasPrefix(a.line, "GET /ws ") || strings.Contains(a.raw, s.cookie) {
		t.Errorf("%q", a.raw)
	}
	g.wantIdentity(t, a, s.User)
	g.signOut(t, s.cookieLine())
	if _, err := io.ReadFull(stream, got); err == nil {
		t.Error("after sign-out the websocket goes on")
	}
}

// plainBytes are messages of gRPC as they are.
type plainBytes struct{}

func (plainBytes) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (plainBytes) Unmarshal(data []byte, v any) error { *v.(*[]byte) = slices.Clone(data); return nil }
func (plainBytes) Name() string                       { return "bytes" }

// gRPC has statuses of its own, in trailers; its clients make nothing of others but "unknown".
func TestGRPC(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodec(plainBytes{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		for {
			var message []byte
			if err := stream.RecvMsg(&message); err != nil {
				return nil //nolint:nilerr // the client has said all
			}
			message = fmt.Appendf(message, " of %s", strings.Join(md["remote-user"], ","))
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
	}))
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	g := start(t, setup{tls: true, routes: "reverse_proxy h2c://" + listener.Addr().String()})
	s := g.signIn(t, walletOf("alice"))
	client, err := grpc.NewClient(net.JoinHostPort("127.0.0.1", strconv.Itoa(g.port)), grpc.WithAuthority(g.host),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plainBytes{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	as := func(token string) context.Context {
		if token == "" {
			return ctx
		}
		return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	for _, c := range []struct {
		name, token, method string
		code                codes.Code
		message             string
	}{
		{"signed out", "", "/reports.Reports/Get", codes.Unauthenticated, "unauthenticated"},
		{"with a token that is none", "x.y.z", "/reports.Reports/Get", codes.Unauthenticated, "unauthenticated"},
		{"not allowed", s.AccessToken, "/admin/Get", codes.PermissionDenied, "forbidden"},
		{"denied", "", "/internal/Get", codes.PermissionDenied, "forbidden"},
		{"no sane path", s.AccessToken, "/public/%00", codes.InvalidArgument, "invalid_target"},
		{"allowed", s.AccessToken, "/reports.Reports/Get", codes.OK, ""},
	} {
		in, out := []byte("hello"), []byte(nil)
		err := client.Invoke(as(c.token), c.method, &in, &out)
		if st := status.Convert(err); st.Code() != c.code || st.Message() != c.message {
			t.Errorf("%s: %v %q", c.name, st.Code(), st.Message())
		}
		if want := "hello of " + s.User.Username; c.code == codes.OK && string(out) != want {
			t.Errorf("%s: %q, want %q", c.name, out, want)
		}
		stream, err := client.NewStream(as(c.token), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, c.method)
		if err == nil {
			err = stream.SendMsg(&in)
		}
		if err == nil || err == io.EOF { // which says that RecvMsg tells why
			err = stream.RecvMsg(&out)
		}
		if st := status.Convert(err); st.Code() != c.code || st.Message() != c.message {
			t.Errorf("%s, as a stream: %v %q", c.name, st.Code(), st.Message())
		}
	}
}

// curl is told of both ways to authenticate, and of those that it knows chooses a password.
func TestCurl(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	g := start(t, setup{tls: true})
	curl := func(args ...string) string {
		out, err := exec.Command("curl", append([]string{"-sSik", "--max-time", "60", "--resolve", g.host + ":127.0.0.1"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	for _, version := range []string{"--http1.1", "--http2"} {
		out := curl(version, g.origin+"/reports/x")
		if !strings.Contains(out, " 401") || !strings.Contains(out, `"code":"unauthenticated"`) || strings.Contains(strings.ToLower(out), "location:") {
			t.Errorf("%s: %s", version, out)
		}
		// Asked without at first, and once more with the password, which is none here.
		out = curl(version, "-v", "--anyauth", "--user", "alice:agp_x", g.origin+"/reports/x")
		if strings.Count(out, " 401") < 2 || !strings.Contains(strings.ToLower(out), "> authorization: basic ") {
			t.Errorf("%s: %s", version, out)
		}
	}
	g.backend.none(t)
}
