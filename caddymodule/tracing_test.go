package caddymodule

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/caddy-authgate/authgate/authcore"
)

// receiver takes spans as OTLP over HTTP (opentelemetry-proto, OTLP/HTTP binary).
type receiver struct {
	t     *testing.T
	mu    sync.Mutex
	spans map[string]received // by name
	came  chan struct{}
}

type received struct{ trace, id, parent, outcome string }

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	var body io.Reader = q.Body
	if q.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(q.Body)
	}
	b, err := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(b, &request) != nil {
		r.t.Errorf("%s %s: %d bytes are not understood: %v", q.Method, q.URL, len(b), err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				got := received{trace: string(s.TraceId), id: string(s.SpanId), parent: string(s.ParentSpanId)}
				for _, a := range s.Attributes {
					if a.Key == "authgate.outcome" {
						got.outcome = a.Value.GetStringValue()
					} else if strings.HasPrefix(s.Name, "authgate.") {
						r.t.Errorf("%s tells %s", s.Name, a.Key)
					}
				}
				r.spans[s.Name] = got
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	select {
	case r.came <- struct{}{}:
	default:
	}
}

func (r *receiver) span(name string) (received, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.spans[name]
	return s, ok
}

// A trace of Caddy's shows where the time of a request goes, below the span of the request, and tells nothing of people.
func TestSpansReachTheCollector(t *testing.T) {
	r := &receiver{t: t, spans: make(map[string]received), came: make(chan struct{}, 1)}
	server := httptest.NewServer(r)
	defer server.Close()
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_TRACES_EXPORTER": "otlp",
		"OTEL_TRACES_SAMPLER": "always_on", "OTEL_BSP_SCHEDULE_DELAY": "20",
	} {
		t.Setenv(name, value)
	}
	h := newHouse(t)
	h.load(h.open(), "tracing {\nspan gate\n}\n"+gated)
	token, _ := h.signIn()
	h.expect(200, "ok", "GET", "/reports/1", "", "Authorization", "Bearer "+token)
	want := map[string]string{
		"authgate.authenticate": "signed_in", "authgate.judge": "allow", "authgate.store.create_challenge": "ok", "authgate.store.consume_challenge": "ok", "gate": "",
	}
	deadline := time.After(20 * time.Second)
	for missing := true; missing; {
		missing = false
		for name := range want {
			if s, ok := r.span(name); !ok || s.outcome != want[name] {
				missing = true
			}
		}
		if !missing {
			break
		}
		select {
		case <-r.came:
		case <-deadline:
			t.Fatalf("got %+v", r.spans)
		}
	}
	for name := range want {
		s, _ := r.span(name)
		if name != "gate" && (s.parent == "" || s.trace == "") {
			t.Errorf("%s is below nothing: %+v", name, s)
		}
	}
}

// Where nothing is traced, spans cost a look.
func TestNoSpansCostNothing(t *testing.T) {
	ctx := context.WithValue(t.Context(), struct{ string }{"some"}, "thing")
	if n := testing.AllocsPerRun(100, func() {
		if _, is := traced(ctx); is {
			t.Error("traced")
		}
		_, end := authcore.Span(ctx, "authgate.judge")
		end("ok")
		storeSpan(ctx, "user")("ok")
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUntraced(b *testing.B) {
	ctx := context.WithValue(b.Context(), struct{ string }{"some"}, "thing")
	b.ReportAllocs()
	for b.Loop() {
		if _, is := traced(ctx); is {
			b.Fatal("traced")
		}
	}
}
