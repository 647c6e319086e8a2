package pages

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Resends reports whether the page is the one by which the browser sends on what was kept.
func (v *view) Resends() bool { return v.Confirm.Proven && v.Confirm.Form != "" }

// Onward is where to go after signing in or confirming, "" for the start page. Where something was sent, that is the page to
// confirm on once more: it knows what became of it.
func (v *view) Onward() string {
	switch {
	case v.Confirm != nil && (v.Confirm.Form != "" || v.Confirm.Lost != ""):
		return v.Confirm.Again
	case v.Elsewhere():
		return v.ReturnTo
	}
	return ""
}

// Asked says with what to confirm, and how new that must be.
func (v *view) Asked() (string, error) {
	what, err := v.named(v.Confirm.With)
	if err != nil || v.Confirm.Within == 0 {
		return what, err
	}
	within, err := v.span(v.Confirm.Within)
	if err != nil {
		return "", err
	}
	if what == "" {
		if what, err = v.Say("any"); err != nil {
			return "", err
		}
	}
	return v.Say("within", "what", what, "time", within)
}

// Lacks names what the account has not.
func (v *view) Lacks() (string, error) {
	what, err := v.named(v.Confirm.Lacking)
	if err != nil {
		return "", err
	}
	return v.Say("lacking", "what", what)
}

func (v *view) named(methods []authcore.Method) (string, error) {
	var names []string
	for _, m := range methods {
		name, err := v.MethodName(m)
		if err != nil {
			return "", err
		}
		names = append(names, name)
	}
	return strings.Join(names, " · "), nil
}

// span puts a length of time into words, in the largest unit in which it is whole.
func (v *view) span(d time.Duration) (string, error) {
	for _, unit := range []struct {
		name string
		is   time.Duration
	}{{"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}} {
		if d%unit.is == 0 || unit.is == time.Second {
			return v.Say(unit.name, "n", strconv.FormatInt(int64(d/unit.is), 10))
		}
	}
	return "", nil
}

// WhyLost says why what was sent is not kept, or "".
func (v *view) WhyLost() (string, error) {
	key := map[string]string{"too_large": "lostTooLarge", "unavailable": "lostUnavailable", "gone": "lostGone"}[v.Confirm.Lost]
	if v.Confirm.Lost == "" {
		return "", nil
	}
	return v.Say(cmp.Or(key, "lostUnavailable"))
}
