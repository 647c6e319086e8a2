package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// panicked makes a panic in the gateway's own work the failure of one request: nothing of it goes to the backend. Servers
// would recover too, but hang up without a word, on all requests that share the connection.
func (g *Gateway) panicked(w http.ResponseWriter, r *http.Request, p any, start time.Time) error {
	if p == http.ErrAbortHandler {
		panic(p) // it is no mistake: whoever says so wants the server to hang up
	}
	g.realm.Logger.LogAttrs(r.Context(), slog.LevelError, "panic", slog.Any("value", p), slog.String("stack", string(debug.Stack())))
	g.realm.Observer.Decided("panic", g.realm.Now().Sub(start))
	failure := &Error{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong here.", Err: fmt.Errorf("panic: %v", p)}
	g.setErrorHeaders(w.Header(), failure)
	return failure
}
