package caddymodule

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

var (
	errNoSuchToken   = errors.New("the user has no such token; `caddy authgate token list` tells which there are")
	errNoSuchSession = errors.New("the user has no such session; `caddy authgate session list` tells which there are")
	errNoHash        = errors.New("not the hash of an event")
)

// listEvents answers `caddy authgate audit`.
func listEvents(ctx context.Context, realm *gateway.Realm, q command.AuditQuestion) (log command.AuditLog, err error) {
	chosen := authcore.EventQuery{Client: q.Client, Since: q.Since, Until: q.Until, Before: q.Before, Limit: min(max(q.Limit, 0), maxListed)}
	if chosen.Limit == 0 {
		chosen.Limit = 100
	}
	for _, kind := range q.Kinds {
		// An answer without any would say that it never happened.
		if known := authcore.EventKinds(); !slices.Contains(known, authcore.EventKind(kind)) {
			return log, fmt.Errorf("%w: there is no kind %q; there are: %s", gateway.ErrQuestion, kind, joined(known))
		}
		chosen.Kinds = append(chosen.Kinds, authcore.EventKind(kind))
	}
	if q.User != "" {
		if chosen.Subject, err = subjectOf(ctx, realm, q.User); err != nil {
			return log, err
		}
	}
	events, err := realm.Events(ctx, chosen)
	if err != nil {
		return log, err
	}
	log.Events = make([]command.AuditEvent, len(events))
	for i, e := range events {
		log.Events[i] = command.AuditEvent{
			Number: e.Number, Time: e.Time, Kind: string(e.Kind), Code: e.Code, Subject: e.Subject, Actor: e.Actor, SessionID: e.SessionID,
			Origin: e.Origin, Client: e.Client, UserAgent: e.UserAgent, Detail: e.Detail, Erased: e.Salt == nil, Hash: hex.EncodeToString(e.Hash[:]),
		}
	}
	if len(events) == chosen.Limit {
		log.Next = events[len(events)-1].Number
	}
	return log, nil
}

func joined(kinds []authcore.EventKind) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	return strings.Join(names, ", ")
}

// subjectOf answers the id of a user whom events may be about: also of one who was deleted, and is known by the id only.
func subjectOf(ctx context.Context, realm *gateway.Realm, name string) (string, error) {
	a, err := realm.Account(ctx, name)
	if !errors.Is(err, authcore.ErrUserNotFound) {
		return a.ID, err
	}
	of, err2 := realm.Events(ctx, authcore.EventQuery{Subject: name, Limit: 1})
	if err2 != nil || len(of) == 0 {
		return "", errors.Join(err, err2)
	}
	return name, nil
}

// verifyEvents answers `caddy authgate audit verify`.
func verifyEvents(ctx context.Context, realm *gateway.Realm, q command.AuditProof) (command.AuditReport, error) {
	var expect *authcore.EventHead
	if q.Number != 0 {
		expect = &authcore.EventHead{Number: q.Number}
		if n, err := hex.Decode(expect.Hash[:], []byte(q.Hash)); err != nil || n != len(expect.Hash) {
			return command.AuditReport{}, errNoHash
		}
	}
	r, err := realm.VerifyEvents(ctx, expect)
	answer := command.AuditReport{
		Holds: r.Broken == 0, Broken: r.Broken, Why: r.Why, Events: r.Count, Erased: r.Erased, Waiting: r.Waiting, Deleted: r.Anchor.Number,
	}
	if r.Head.Number != 0 {
		answer.Head = fmt.Sprintf("%d:%x", r.Head.Number, r.Head.Hash)
	}
	return answer, err
}
