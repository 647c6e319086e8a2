package caddymodule

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/mail"
	"github.com/caddy-authgate/authgate/authcore/password"
)

// mailMetrics count what becomes of mails.
type mailMetrics struct {
	written *prometheus.CounterVec
	done    *prometheus.CounterVec
	failed  *prometheus.CounterVec
	waiting prometheus.Gauge
	oldest  prometheus.Gauge
}

func newMailMetrics() mailMetrics {
	return mailMetrics{
		written: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_mails_written_total",
			Help: "Mails written to the outbox by kind; a decoy is for nobody and never sent.",
		}, []string{"kind"}),
		done: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_mails_total",
			Help: "Mails that left the outbox by outcome: sent, or given up since they are expired, too_old, refused or invalid.",
		}, []string{"outcome"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "caddy_authgate_mail_failures_total",
			Help: "Failures to send mail, which is tried again, by class: connect, tls, auth, from, lost, temporary, refused, unopened, store.",
		}, []string{"class"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "caddy_authgate_mails_waiting",
			Help: "Mails in the outbox, of all instances that share it.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "caddy_authgate_mail_oldest_seconds",
			Help: "How old the oldest mail in the outbox is; 0 where it is empty.",
		}),
	}
}

func (m mailMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.written, m.done, m.failed, m.waiting, m.oldest}
}

// MailSent implements mail.Observer.
func (m mailMetrics) MailSent(authcore.MailKind) { m.done.WithLabelValues("sent").Inc() }

// MailFailed implements mail.Observer.
func (m mailMetrics) MailFailed(class mail.Class) { m.failed.WithLabelValues(string(class)).Inc() }

// MailDropped implements mail.Observer.
func (m mailMetrics) MailDropped(reason string) { m.done.WithLabelValues(reason).Inc() }

// MailWaiting implements mail.Observer.
func (m mailMetrics) MailWaiting(n int, age time.Duration) {
	m.waiting.Set(float64(n))
	m.oldest.Set(age.Seconds())
}

// hashMetrics show how busy the hashing of passwords is.
type hashMetrics struct {
	hasher  *atomic.Pointer[password.Hasher] // nil inside: none is in use
	running prometheus.GaugeFunc
	queue   prometheus.GaugeFunc
}

func newHashMetrics() hashMetrics {
	h := new(atomic.Pointer[password.Hasher])
	load := func() (running, waiting int) {
		if hasher := h.Load(); hasher != nil {
			return hasher.Load()
		}
		return 0, 0
	}
	return hashMetrics{
		hasher: h,
		running: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "caddy_authgate_hashes_running",
			Help: "Passwords that are hashed at this moment.",
		}, func() float64 { running, _ := load(); return float64(running) }),
		queue: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "caddy_authgate_hash_queue",
			Help: "Passwords that wait to be hashed.",
		}, func() float64 { _, waiting := load(); return float64(waiting) }),
	}
}

func (h hashMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{h.running, h.queue}
}

var _ mail.Observer = mailMetrics{}
