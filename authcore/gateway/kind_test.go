package gateway

import (
	"net/http"
	"testing"
)

func TestIsNavigation(t *testing.T) {
	html := "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
	tests := []struct {
		name   string
		method string
		header map[string]string
		want   bool
	}{
		{"browser, page", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": html}, true},
		{"browser, frame", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, true},
		{"browser, form", "POST", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, true},
		{"browser, fetch that accepts pages", "GET", map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": html}, false},
		{"browser, image", "GET", map[string]string{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, false},
		{"older browser, page", "GET", map[string]string{"Accept": html}, true},
		{"older browser, form", "POST", map[string]string{"Accept": html}, true},
		{"older browser, XHR", "GET", map[string]string{"Accept": html, "X-Requested-With": "XMLHttpRequest"}, false},
		{"curl", "GET", map[string]string{"Accept": "*/*"}, false},
		{"program with a token", "GET", map[string]string{"Accept": html, "Authorization": "Bearer x"}, false},
		{"websocket", "GET", map[string]string{"Accept": html, "Upgrade": "websocket"}, false},
		{"event stream", "GET", map[string]string{"Accept": "text/event-stream"}, false},
		{"gRPC", "POST", map[string]string{"Accept": html, "Content-Type": "application/grpc+proto"}, false},
		{"DAV", "PROPFIND", map[string]string{"Accept": html}, false},
	}
	g := &Gateway{}
	for _, tt := range tests {
		r := &http.Request{Method: tt.method, Header: http.Header{}}
		for k, v := range tt.header {
			r.Header.Set(k, v)
		}
		if got := g.isNavigation(r); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestIsWebsocket(t *testing.T) {
	h := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
		}
		return h
	}
	tests := []struct {
		name string
		r    http.Request
		want bool
	}{
		{"HTTP/1.1", http.Request{Method: "GET", ProtoMajor: 1, Header: h("Upgrade", "WebSocket", "Connection", "keep-alive, Upgrade")}, true},
		{"not named in Connection", http.Request{Method: "GET", ProtoMajor: 1, Header: h("Upgrade", "websocket")}, false},
		{"two protocols", http.Request{Method: "GET", ProtoMajor: 1, Header: h("Upgrade", "websocket, h2c", "Connection", "Upgrade")}, false},
		{"two headers", http.Request{Method: "GET", ProtoMajor: 1, Header: h("Upgrade", "websocket", "Upgrade", "h2c", "Connection", "Upgrade")}, false},
		{"POST", http.Request{Method: "POST", ProtoMajor: 1, Header: h("Upgrade", "websocket", "Connection", "Upgrade")}, false},
		{"HTTP/2", http.Request{Method: "CONNECT", ProtoMajor: 2, Header: h(":protocol", "websocket")}, true},
		{"HTTP/2, another protocol", http.Request{Method: "CONNECT", ProtoMajor: 2, Header: h(":protocol", "connect-udp")}, false},
		{"HTTP/2, a tunnel", http.Request{Method: "CONNECT", ProtoMajor: 2, Header: h()}, false},
		{"HTTP/3", http.Request{Method: "CONNECT", ProtoMajor: 3, Proto: "websocket", Header: h()}, true},
		{"HTTP/1.1 CONNECT that says so", http.Request{Method: "CONNECT", ProtoMajor: 1, Proto: "HTTP/1.1", Header: h(":protocol", "websocket")}, false},
	}
	for _, tt := range tests {
		if got := isWebsocket(&tt.r); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
