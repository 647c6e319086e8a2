package caddymodule

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

// gathered answers what a registry of one configuration shows: name{label values} to count.
func gathered(t *testing.T, m *metrics) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := m.register(registry); err != nil {
		t.Fatal(err)
	}
	if err := m.register(registry); err != nil {
		t.Fatalf("twice in one registry: %v", err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			name := family.GetName() + "{" + strings.Join(labels, ",") + "}"
			counts[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return counts
}

func TestMetricsGoOnOverReloads(t *testing.T) {
	m := newMetrics()
	m.Decided("allow", time.Millisecond)
	m.SignedIn(authcore.Wallet, "ok")
	m.PasskeyOdd("sign_count_refused")
	gathered(t, m)
	m.Decided("allow", time.Millisecond)
	counts := gathered(t, m)
	for name, want := range map[string]float64{
		"caddy_authgate_decision_seconds{allow}":     2,
		"caddy_authgate_decision_seconds{forbidden}": 0,
		"caddy_authgate_sign_ins_total{wallet,ok}":   1,

		"caddy_authgate_odd_passkeys_total{sign_count_refused}": 1,
	} {
		if got, there := counts[name]; !there || got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// A store that answers no has worked; only what it could not do is a failure.
func TestStoreFailuresAreCounted(t *testing.T) {
	m := newMetrics()
	down := errors.New("no route to host")
	o := &opening[OpenStore]{name: "store test", now: time.Now, open: func(context.Context) (OpenStore, error) {
		if down != nil {
			return OpenStore{}, down
		}
		return OpenStore{Stores: memstore.New().Stores()}, nil
	}}
	store := lazyAccounts{o, m}.stores()
	if _, err := store.Users.User(t.Context(), "nobody"); !errors.Is(err, authcore.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	down = nil
	o.retry()
	if _, err := store.Users.User(t.Context(), "nobody"); !errors.Is(err, authcore.ErrUserNotFound) {
		t.Fatalf("got %v, want ErrUserNotFound", err)
	}
	counts := gathered(t, m)
	if n := counts["caddy_authgate_store_operation_seconds{user}"]; n != 2 {
		t.Errorf("%v operations, want 2", n)
	}
	if n := counts["caddy_authgate_store_failures_total{user}"]; n != 1 {
		t.Errorf("%v failures, want 1", n)
	}
}

// Who hangs up has a store fail at nothing, in a transaction as elsewhere: impatient people would wake whoever is on duty.
func TestWhoHangsUpIsNoFailureOfTheStore(t *testing.T) {
	m := newMetrics()
	o := &opening[OpenStore]{name: "store test", now: time.Now, open: func(context.Context) (OpenStore, error) {
		return OpenStore{Stores: memstore.New().Stores()}, nil
	}}
	store := lazyAccounts{o, m}.stores()
	if err := store.Health.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	nothing := func(authcore.Stores) error { return nil }
	if err := store.Transactions.Transact(ctx, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("hung up: %v", err)
	}
	if _, err := store.Users.User(ctx, "nobody"); !errors.Is(err, context.Canceled) {
		t.Errorf("hung up: %v", err)
	}
	late, over := context.WithTimeout(t.Context(), 0)
	defer over()
	if err := store.Transactions.Transact(late, nothing); !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("late: %v", err)
	}
	for operation, want := range map[string]float64{"user": 0, "transact": 1} {
		if n := gathered(t, m)["caddy_authgate_store_failures_total{"+operation+"}"]; n != want {
			t.Errorf("%s: %v failures, want %v", operation, n, want)
		}
	}
}

// What a store says no by is no failure of it: a client with a wrong cursor would page whoever looks at the alerts. A new
// sentinel must be among them, or be the one that says a store did not work.
func TestVerdictsOfStoresAreNoFailures(t *testing.T) {
	sentinels := regexp.MustCompile(`\b(Err\w+) += errors\.New\("(.*)"\)`).FindAllStringSubmatch(read(t, "../authcore/errors.go"), -1)
	if len(sentinels) < 15 {
		t.Fatalf("found only %q; has errors.go another form?", sentinels)
	}
	for _, m := range sentinels {
		known := slices.ContainsFunc(verdicts, func(v error) bool { return v.Error() == m[2] })
		if known == (m[1] == "ErrUnavailable") {
			t.Errorf("%s counts as a failure: %t", m[1], !known)
		}
	}
}

func TestDecisionsAllocateNothing(t *testing.T) {
	m := newMetrics()
	if n := testing.AllocsPerRun(100, func() { m.Decided("allow", time.Microsecond) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
