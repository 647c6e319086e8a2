package caddymodule

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// explained is command.Explained, by the gateway's own view of an answer.
type explained struct {
	Answers []gateway.AnswerView `json:"answers"`
}

// explainRequest answers `caddy authgate explain`.
func explainRequest(ctx context.Context, realm *gateway.Realm, q command.ExplainQuestion) (explained, error) {
	question, err := gateway.NewQuestion(q.URL, q.Method, q.Client, q.User, q.With)
	if err != nil {
		return explained{}, err
	}
	answers, err := realm.Explain(ctx, question)
	did := explained{Answers: make([]gateway.AnswerView, len(answers))}
	for i, a := range answers {
		did.Answers[i] = a.View()
	}
	return did, err
}
