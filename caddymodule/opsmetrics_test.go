package caddymodule

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// described answers the labels of all metrics of the product, by name.
func described(t *testing.T) map[string][]string {
	t.Helper()
	ch := make(chan *prometheus.Desc, 1000)
	registry := prometheus.NewRegistry()
	if err := counted.register(registry); err != nil {
		t.Fatal(err)
	}
	registry.Describe(ch)
	close(ch)
	form := regexp.MustCompile(`fqName: "(\w+)".*constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}`)
	names := make(map[string][]string)
	for desc := range ch {
		m := form.FindStringSubmatch(desc.String())
		if m == nil {
			t.Fatalf("another form: %s", desc)
		}
		labels := strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' })
		for _, l := range regexp.MustCompile(`(\w+)=`).FindAllStringSubmatch(m[2], -1) {
			labels = append(labels, l[1])
		}
		names[m[1]] = labels
	}
	return names
}

// Who renames a metric or a label must not leave a dashboard that shows nothing and alerts that never fire.
func TestDashboardAndAlertsKnowTheMetrics(t *testing.T) {
	metrics := described(t)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(command.Dashboard), &dashboard); err != nil {
		t.Fatal(err)
	}
	var exprs []string
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
			for _, l := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !strings.Contains(target.Expr, l[1]) && !slices.Contains([]string{"instance", "part"}, l[1]) {
					t.Errorf("%s: legend %s is no label of %s", p.Title, l[1], target.Expr)
				}
			}
		}
	}
	alerts := regexp.MustCompile(`(?m)^\s+expr: (.*)$`).FindAllStringSubmatch(command.Alerts, -1)
	if n := strings.Count(command.Alerts, "- alert:"); n < 10 || n != len(alerts) || n != strings.Count(command.Alerts, "severity:") || n != strings.Count(command.Alerts, "summary:") {
		t.Errorf("%d alerts with %d expressions", n, len(alerts))
	}
	for _, m := range alerts {
		exprs = append(exprs, m[1])
	}
	used := make(map[string]bool)
	for _, expr := range exprs {
		checkExpression(t, expr, metrics, used)
	}
	for name := range metrics {
		if !used[name] && !strings.HasPrefix(name, "caddy_authgate_signing_keys") && !strings.HasPrefix(name, "caddy_authgate_events") {
			t.Errorf("neither dashboard nor alerts show %s", name)
		}
	}
}

// What expressions may call, beside operators.
var functions = []string{"sum", "min", "max", "count", "rate", "increase", "histogram_quantile", "time", "abs", "by"}

// checkExpression checks what can be checked of PromQL without its parser: brackets, functions, metrics and labels.
func checkExpression(t *testing.T, expr string, metrics map[string][]string, used map[string]bool) {
	t.Helper()
	var open []rune
	quoted := false
	for _, c := range expr {
		if c == '"' {
			quoted = !quoted
		}
		if quoted {
			continue
		}
		switch c {
		case '(', '{', '[':
			open = append(open, c)
		case ')', '}', ']':
			if len(open) == 0 || strings.IndexRune("({[", open[len(open)-1]) != strings.IndexRune(")}]", c) {
				t.Errorf("brackets of %s", expr)
				return
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 || quoted {
		t.Errorf("brackets or quotes of %s", expr)
	}
	bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, `""`)
	for _, call := range regexp.MustCompile(`([a-z_]+)\s*\(`).FindAllStringSubmatch(bare, -1) {
		if !slices.Contains(functions, call[1]) {
			t.Errorf("%s calls %s", expr, call[1])
		}
	}
	var labels []string
	for _, m := range regexp.MustCompile(`caddy_authgate_\w+`).FindAllString(bare, -1) {
		base := m
		if _, ok := metrics[base]; !ok {
			base = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m, "")
			if !strings.HasSuffix(base, "_seconds") {
				t.Errorf("%s: there is no metric %s", expr, m)
			}
		}
		has, ok := metrics[base]
		if !ok {
			t.Errorf("%s: there is no metric %s", expr, m)
		}
		used[base] = true
		labels = append(labels, has...)
	}
	labels = append(labels, "instance", "le")
	for _, by := range regexp.MustCompile(`by \(([^)]*)\)|\{([^}]*)\}`).FindAllStringSubmatch(bare, -1) {
		for _, l := range regexp.MustCompile(`[a-z_]+`).FindAllString(by[1]+by[2], -1) {
			if !slices.Contains(labels, l) {
				t.Errorf("%s: no metric in it has a label %s", expr, l)
			}
		}
	}
}

// A reload registers the same collectors: nothing is counted twice, nothing begins anew, and what is scraped is well-formed.
func TestReloadDoublesNoMetric(t *testing.T) {
	h := newHouse(t)
	allowed := func() float64 { return gathered(t, counted)["caddy_authgate_decision_seconds{allow}"] }
	h.load(h.open(), gated)
	for i := range 3 {
		before := allowed()
		h.expect(200, "ok", "GET", "/public/x", "")
		if after := allowed(); after != before+1 {
			t.Errorf("reload %d: %v decisions, want %v", i, after, before+1)
		}
		h.load(h.open()+"rate_limit "+strings.Repeat("1", i+2)+" 1m\n", gated)
	}
}

// What is cut and refused is counted with the reason, and clocks that are gone leave no series.
func TestOperationsMetrics(t *testing.T) {
	m := newMetrics()
	m.ops.StreamEnded("rules_changed")
	m.ops.Limited("mail")
	signing := time.Unix(1700000000, 0)
	m.ops.looked(gateway.Status{
		{Name: "store", State: gateway.PartOK},
		{Name: "clock", State: gateway.PartDegraded, Clock: true, Offset: -7 * time.Second},
		{Name: "keys", State: gateway.PartDown},
		{Name: "notices", State: gateway.PartOff},
	}, signing, 2)
	for name, want := range map[string]float64{
		"caddy_authgate_streams_ended_total{rules_changed}": 1, "caddy_authgate_rate_limited_total{mail}": 1, "caddy_authgate_part_up{store}": 1,
		"caddy_authgate_part_up{clock}": 0.5, "caddy_authgate_part_up{keys}": 0, "caddy_authgate_clock_offset_seconds{clock}": -7,
		"caddy_authgate_signing_keys{}": 2, "caddy_authgate_signing_key_since_seconds{}": 1700000000,
	} {
		if got, there := gathered(t, m)[name]; !there || got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	m.ops.looked(gateway.Status{{Name: "clock", State: gateway.PartOff}}, signing, 2)
	for name := range gathered(t, m) {
		if strings.Contains(name, "{clock}") {
			t.Errorf("%s is there still", name)
		}
	}
}
