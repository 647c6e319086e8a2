package caddymodule

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// metrics counts what happens. One is shared by all configurations, so that counters go on over a reload. The labels
// come from small fixed sets: never a user, a path or an address.
type metrics struct {
	decisions *prometheus.HistogramVec
	signIns   *prometheus.CounterVec
	odd       *prometheus.CounterVec
	lockouts  prometheus.Counter
	events    *prometheus.CounterVec
	unsealed  prometheus.Gauge
	stores    *prometheus.HistogramVec
	failures  *prometheus.CounterVec
	mails     mailMetrics
	rpc       rpcMetrics
	hashing   hashMetrics
	ops       opsMetrics

	decided map[string]prometheus.Observer // by outcome; read-only, so that a decision looks up and allocates nothing
}

// counted is what this process counted, under whatever configuration.
var counted = newMetrics()

func newMetrics() *metrics {
	m := &metrics{
		decisions: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "caddy_authgate_decision_seconds",
			Help:    "Time to decide on requests for the backend, by outcome.",
			Buckets: []float64{.00001, .000025, .00005, .0001, .00025, .001, .005, .025, .1, 1},
		}, []string{"outcome"}),
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_sign_ins_total",
			Help: "Sign-ins by method and outcome: ok or the code of the refusal.",
		}, []string{"method", "outcome"}),
		odd: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_odd_passkeys_total",
			Help: "Passkeys that behaved oddly: sign_count_refused (there may be a copy), sign_count_went_back, backup_eligibility_changed, backup_state_changed.",
		}, []string{"event"}),
		lockouts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "caddy_authgate_lockouts_total",
			Help: "How often password sign-in to an account was suspended after too many failures.",
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_events_total",
			Help: "Events that this instance wrote into the audit log, by kind.",
		}, []string{"kind"}),
		unsealed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "caddy_authgate_events_unsealed",
			Help: "Events of the audit log that wait to be sealed into the chain, when this instance last looked.",
		}),
		stores: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "caddy_authgate_store_operation_seconds",
			Help:    "Time of store operations, waiting for the store to open included.",
			Buckets: []float64{.00001, .0001, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"operation"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_store_failures_total",
			Help: "Store operations that failed because the store could not do them.",
		}, []string{"operation"}),
		mails:   newMailMetrics(),
		rpc:     newRPCMetrics(),
		hashing: newHashMetrics(),
		ops:     newOpsMetrics(),
		decided: make(map[string]prometheus.Observer),
	}
	for _, outcome := range []string{"allow", "sign_in", "step_up", "forbidden", "bad_request", "unavailable", "loop", "panic"} {
		m.decided[outcome] = m.decisions.WithLabelValues(outcome)
	}
	return m
}

// register adds the collectors to the registry of a configuration.
func (m *metrics) register(registry *prometheus.Registry) error {
	collectors := []prometheus.Collector{m.decisions, m.signIns, m.odd, m.lockouts, m.events, m.unsealed, m.stores, m.failures}
	for _, c := range slices.Concat(collectors, m.mails.collectors(), m.rpc.collectors(), m.hashing.collectors(), m.ops.collectors()) {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

// Decided implements gateway.Observer.
func (m *metrics) Decided(outcome string, took time.Duration) {
	o, known := m.decided[outcome]
	if !known {
		o = m.decisions.WithLabelValues(outcome)
	}
	o.Observe(took.Seconds())
}

// SignedIn implements gateway.Observer.
func (m *metrics) SignedIn(method authcore.Method, outcome string) {
	m.signIns.WithLabelValues(string(method), outcome).Inc()
}

// PasskeyOdd implements gateway.Observer.
func (m *metrics) PasskeyOdd(event string) { m.odd.WithLabelValues(event).Inc() }

// Happened implements gateway.Observer.
func (m *metrics) Happened(e authcore.Event) {
	m.events.WithLabelValues(string(e.Kind)).Inc()
	if e.Kind == authcore.EventSuspended && e.Subject != "" {
		m.lockouts.Inc()
	}
}

// MailWritten implements gateway.Observer.
func (m *metrics) MailWritten(kind authcore.MailKind) {
	m.mails.written.WithLabelValues(string(kind)).Inc()
}

func (m *metrics) stored(operation string, took time.Duration, failed bool) {
	m.stores.WithLabelValues(operation).Observe(took.Seconds())
	if failed {
		m.failures.WithLabelValues(operation).Inc()
	}
}

var _ gateway.Observer = (*metrics)(nil)
