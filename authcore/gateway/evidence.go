package gateway

import (
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// evidence is what a session lacks, as problem bodies tell it.
type evidence struct {
	With   []authcore.Method `json:"with,omitempty"`   // one of these must be used; none: any
	Within int64             `json:"within,omitempty"` // seconds, and no longer ago than this; 0: in this session
}

func newEvidence(with []authcore.Method, within time.Duration) evidence {
	e := evidence{with, int64(within / time.Second)}
	if within > 0 {
		e.Within = max(e.Within, 1)
	}
	return e
}

// asking answers e with what is missing.
func (e *Error) asking(with []authcore.Method, within time.Duration) *Error {
	c, missing := *e, newEvidence(with, within)
	c.evidence = &missing
	return &c
}
