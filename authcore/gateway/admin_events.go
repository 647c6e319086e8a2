package gateway

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// maxEvents bounds how many events one answer has.
const maxEvents = 500

// adminEventRoutes answers the routes by which the audit log is read.
func (g *Gateway) adminEventRoutes() map[string]route {
	return map[string]route{
		"events":               {get: signedIn(g.listOwnEvents)},
		"admin/events":         {get: g.administered(false, g.listEvents)},
		"admin/users/*/events": {get: g.administered(false, g.listEventsOf)},
	}
}

// eventView is an event as administrators see it.
type eventView struct {
	Number    int64  `json:"number"`
	ID        string `json:"id"`
	Time      string `json:"time"`
	Kind      string `json:"kind"`
	Code      string `json:"code"`
	Subject   string `json:"subject"`
	Actor     string `json:"actor"`
	SessionID string `json:"session"`
	Origin    string `json:"origin"`
	Client    string `json:"client"`
	UserAgent string `json:"user_agent"`
	Detail    string `json:"detail"`
	Erased    bool   `json:"erased"`
	Hash      string `json:"hash"`
}

func viewEvent(e authcore.Event) eventView {
	return eventView{
		Number: e.Number, ID: e.ID, Time: timestamp(e.Time), Kind: string(e.Kind), Code: e.Code, Subject: e.Subject, Actor: e.Actor,
		SessionID: e.SessionID, Origin: e.Origin, Client: e.Client, UserAgent: e.UserAgent, Detail: e.Detail, Erased: e.Salt == nil,
		Hash: hex.EncodeToString(e.Hash[:]),
	}
}

// ownEventView is an event as the user sees it whom it is about, or who did it.
type ownEventView struct {
	Number    int64  `json:"number"`
	Time      string `json:"time"`
	Kind      string `json:"kind"`
	Code      string `json:"code"`
	By        string `json:"by"` // "self", "administrator", "operator" or "", where nobody was signed in
	Subject   string `json:"subject"`
	Origin    string `json:"origin"`
	Client    string `json:"client"`
	UserAgent string `json:"user_agent"`
	Detail    string `json:"detail"`
}

// viewOwnEvent leaves out who an administrator is, and where that was: it is none of the business of who is administered.
func viewOwnEvent(e authcore.Event, userID string) ownEventView {
	v := ownEventView{
		Number: e.Number, Time: timestamp(e.Time), Kind: string(e.Kind), Code: e.Code, By: "administrator", Subject: e.Subject, Origin: e.Origin,
	}
	switch e.Actor {
	case userID:
		v.By = "self"
	case authcore.Operator:
		v.By = e.Actor
	case "":
		v.By = ""
	default:
		return v
	}
	v.Client, v.UserAgent, v.Detail = e.Client, e.UserAgent, e.Detail
	return v
}

// listOwnEvents is GET events.
func (g *Gateway) listOwnEvents(w http.ResponseWriter, r *http.Request, v *visitor) error {
	q, err := readEventQuery(r.URL.Query())
	if err != nil {
		return err
	}
	u, err := g.realm.presentUser(r.Context(), v.identity)
	if err != nil {
		return err
	}
	q.Subject = u.ID
	return writeEvents(g, w, r, q, func(e authcore.Event) ownEventView { return viewOwnEvent(e, u.ID) })
}

// listEvents is GET admin/events.
func (g *Gateway) listEvents(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	q, err := readEventQuery(r.URL.Query())
	if err != nil {
		return err
	}
	return writeEvents(g, w, r, q, viewEvent)
}

// listEventsOf is GET admin/users/{id}/events.
func (g *Gateway) listEventsOf(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	q, err := readEventQuery(r.URL.Query())
	if err != nil {
		return err
	}
	q.Subject = r.PathValue("name")
	return writeEvents(g, w, r, q, viewEvent)
}

func writeEvents[View any](g *Gateway, w http.ResponseWriter, r *http.Request, q authcore.EventQuery, view func(authcore.Event) View) error {
	limit := q.Limit
	q.Limit++ // whether there is a next page
	all, err := g.realm.Events(r.Context(), q)
	if err != nil {
		return err
	}
	next := ""
	if len(all) > limit {
		all = all[:limit]
		next = strconv.FormatInt(all[limit-1].Number, 10)
	}
	views := make([]View, len(all))
	for i, e := range all {
		views[i] = view(e)
	}
	return writeJSON(w, r, struct {
		Events []View `json:"events"`
		Next   string `json:"next"` // what to send as before for the next page; empty: there is none
	}{views, next})
}

// readEventQuery reads user, kind (any number of them), since, until (RFC 3339), client, before and limit.
func readEventQuery(values url.Values) (authcore.EventQuery, error) {
	q := authcore.EventQuery{Subject: values.Get("user"), Client: values.Get("client"), Limit: authcore.DefaultEvents}
	for _, k := range values["kind"] {
		if k != "" {
			q.Kinds = append(q.Kinds, authcore.EventKind(k))
		}
	}
	if len(q.Kinds) > 50 {
		return q, errEventQuery
	}
	for name, into := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if text := values.Get(name); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return q, errEventQuery
			}
			*into = at
		}
	}
	if text := values.Get("before"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return q, errEventQuery
		}
		q.Before = n
	}
	if text := values.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxEvents {
			return q, errEventQuery
		}
		q.Limit = n
	}
	return q, nil
}

var errEventQuery = &Error{Status: http.StatusBadRequest, Code: "invalid_request", Detail: "This is no question about events: since and until are times (RFC 3339), before is a number, limit is 1 to 500."}
