package caddymodule

import (
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// opsMetrics show how the parts do, and what becomes of streams.
type opsMetrics struct {
	up      *prometheus.GaugeVec
	offset  *prometheus.GaugeVec
	keys    prometheus.Gauge
	signing prometheus.Gauge
	ended   *prometheus.CounterVec
	limited *prometheus.CounterVec
	states  *states
	streams prometheus.GaugeFunc
	build   prometheus.Gauge
}

func newOpsMetrics() opsMetrics {
	m := opsMetrics{
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "caddy_authgate_part_up",
			Help: "How a part does, looked at every 15 seconds: 1 well, 0.5 somebody should look, 0 sign-ins cannot work.",
		}, []string{"part"}),
		offset: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "caddy_authgate_clock_offset_seconds",
			Help: "How far the clock of a store is ahead of this machine's.",
		}, []string{"part"}),
		keys: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "caddy_authgate_signing_keys",
			Help: "How many signing keys are published.",
		}),
		signing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "caddy_authgate_signing_key_since_seconds",
			Help: "Since when the present key signs, in seconds since 1970; 0 where none was read yet.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_streams_ended_total",
			Help: "Streams that were cut since they are no longer allowed, by reason.",
		}, []string{"reason"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_rate_limited_total",
			Help: "Requests refused since their client sent too many, by limit: sign-in or mail.",
		}, []string{"limit"}),
		states: new(states),
		build: prometheus.NewGauge(prometheus.GaugeOpts{
			Name:        "caddy_authgate_build_info",
			Help:        "Always 1; the labels tell what runs.",
			ConstLabels: prometheus.Labels{"version": version(), "goversion": runtime.Version()},
		}),
	}
	m.build.Set(1)
	m.streams = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "caddy_authgate_streams",
		Help: "Requests of signed-in users that go on: websockets, events, downloads, uploads.",
	}, func() float64 { return float64(m.states.streams()) })
	for _, reason := range gateway.StreamReasons() {
		m.ended.WithLabelValues(reason)
	}
	for _, limit := range []string{"sign-in", "mail"} {
		m.limited.WithLabelValues(limit)
	}
	return m
}

func (m opsMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.up, m.offset, m.keys, m.signing, m.ended, m.limited, m.streams, m.build}
}

// states are those of all configurations that are in use, by how many use them: a reload may be refused, and what an earlier
// configuration let through goes on.
type states struct {
	mu sync.Mutex
	of map[*gateway.State]int
}

// use counts one more configuration with a state until the answer is called.
func (s *states) use(state *gateway.State) (over func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[*gateway.State]int)
	}
	s.of[state]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.of[state]--; s.of[state] == 0 {
			delete(s.of, state)
		}
	}
}

func (s *states) streams() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for state := range s.of {
		n += state.Streams()
	}
	return n
}

// StreamEnded implements gateway.Traffic.
func (m opsMetrics) StreamEnded(why string) { m.ended.WithLabelValues(why).Inc() }

// Limited implements gateway.Traffic.
func (m opsMetrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }

// looked shows how the parts do.
func (m opsMetrics) looked(parts gateway.Status, signing time.Time, keys int) {
	for _, p := range parts {
		switch p.State {
		case gateway.PartOff:
			m.up.DeleteLabelValues(p.Name)
			m.offset.DeleteLabelValues(p.Name)
			continue
		case gateway.PartOK:
			m.up.WithLabelValues(p.Name).Set(1)
		case gateway.PartDegraded:
			m.up.WithLabelValues(p.Name).Set(0.5)
		default:
			m.up.WithLabelValues(p.Name).Set(0)
		}
		if p.Clock {
			m.offset.WithLabelValues(p.Name).Set(p.Offset.Seconds())
		}
	}
	m.keys.Set(float64(keys))
	if !signing.IsZero() {
		m.signing.Set(float64(signing.Unix()))
	}
}

var _ gateway.Traffic = opsMetrics{}
