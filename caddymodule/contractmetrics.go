package caddymodule

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// rpcMetrics count what chains are asked. An endpoint is told by its place in the configuration, never by its URL, which may
// carry a secret.
type rpcMetrics struct {
	requests  *prometheus.CounterVec
	times     *prometheus.HistogramVec
	broken    *prometheus.GaugeVec
	disagreed *prometheus.CounterVec
}

func newRPCMetrics() rpcMetrics {
	return rpcMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_rpc_requests_total",
			Help: "Questions to endpoints of chains by outcome: ok, unreachable, timeout, status, malformed, too_large, wrong_chain, error, canceled.",
		}, []string{"chain", "endpoint", "outcome"}),
		times: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "caddy_authgate_rpc_seconds",
			Help:    "Time of questions to endpoints of chains.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"chain", "endpoint"}),
		broken: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "caddy_authgate_rpc_broken",
			Help: "1 while an endpoint is not asked since it failed again and again, else 0.",
		}, []string{"chain", "endpoint"}),
		disagreed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_rpc_disagreements_total",
			Help: "Questions to which endpoints of one chain gave different answers.",
		}, []string{"chain"}),
	}
}

func (m rpcMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.times, m.broken, m.disagreed}
}

// Asked implements wallet.ContractsObserver.
func (m rpcMetrics) Asked(chain uint64, endpoint int, outcome string, took time.Duration) {
	c, e := strconv.FormatUint(chain, 10), strconv.Itoa(endpoint)
	m.requests.WithLabelValues(c, e, outcome).Inc()
	m.times.WithLabelValues(c, e).Observe(took.Seconds())
}

// Broken implements wallet.ContractsObserver.
func (m rpcMetrics) Broken(chain uint64, endpoint int, broken bool) {
	value := 0.0
	if broken {
		value = 1
	}
	m.broken.WithLabelValues(strconv.FormatUint(chain, 10), strconv.Itoa(endpoint)).Set(value)
}

// Disagreed implements wallet.ContractsObserver.
func (m rpcMetrics) Disagreed(chain uint64) {
	m.disagreed.WithLabelValues(strconv.FormatUint(chain, 10)).Inc()
}

var _ wallet.ContractsObserver = rpcMetrics{}
