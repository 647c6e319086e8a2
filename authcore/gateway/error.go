package gateway

import "github.com/caddy-authgate/authgate/authcore"

// Error is a refusal or failure in three voices: Code for programs, Detail for people, Err for the operator's log.
type Error struct {
	Status int    // HTTP status
	Code   string // stable and machine-readable, "step_up_required"
	Detail string // one sentence for people; never anything internal
	Err    error  // the cause, for the log only; may be nil

	reason   string             // why, in a word for programs, where the code has several; may be empty
	signal   string             // what the page may tell those who keep passkeys; may be empty
	evidence *evidence          // what is missing, of errStepUp; else nil
	identity *authcore.Identity // of who is told, for the error page; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code + ": " + e.Err.Error()
	}
	return e.Code
}

// Reason tells in a word for programs why, where the code has several reasons; else it is "".
func (e *Error) Reason() string { return e.reason }

func (e *Error) Unwrap() error { return e.Err }
