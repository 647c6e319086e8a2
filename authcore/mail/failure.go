package mail

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"
)

// Class says what kind of failure kept a mail from being sent; metrics and logs use it as it stands.
type Class string

const (
	ClassConnect   Class = "connect"   // the server cannot be reached, or does not answer as one
	ClassTLS       Class = "tls"       // no TLS, or not with the right server
	ClassAuth      Class = "auth"      // it does not take our credentials, or must not be sent them
	ClassFrom      Class = "from"      // it does not take mail from our address
	ClassLost      Class = "lost"      // the connection ended while a mail was on its way
	ClassTemporary Class = "temporary" // it cannot take this mail now (4yz)
	ClassRefused   Class = "refused"   // it does not take this mail, or not for its recipient (5yz)
	ClassUnopened  Class = "unopened"  // the mail could not be opened, or told
	ClassStore     Class = "store"     // the outbox did not answer
)

// Failure is why a mail server did not take a mail. Its text has nothing that the server said, since servers quote
// addresses and whatever they were sent.
type Failure struct {
	Class    Class
	Step     string // "dial", "greeting", "starttls", "auth", "mail", "rcpt", "data", …
	Code     int    // of the server's answer; zero where there was none
	Enhanced string // its enhanced status code, "5.1.1"; may be empty (RFC 3463)
	Err      error  // of the network; nil where the server answered
}

func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "mail: smtp: %s", f.Step)
	if f.Code != 0 {
		fmt.Fprintf(&b, ": answered %d", f.Code)
	}
	if f.Enhanced != "" {
		b.WriteString(" " + f.Enhanced)
	}
	if f.Err != nil {
		fmt.Fprintf(&b, ": %v", f.Err)
	}
	return b.String()
}

func (f *Failure) Unwrap() error { return f.Err }

// outage reports whether the failure is one of the server or the configuration, so that no other mail would fare better.
func (f *Failure) outage() bool {
	switch f.Class {
	case ClassConnect, ClassTLS, ClassAuth, ClassFrom:
		return true
	}
	return false
}

// failed makes a Failure of what the SMTP client answered in a step. Where the server answered, class says what a refusal for
// good means in this step; else the connection is lost, or where there is none yet, was not to be had.
func failed(step string, class Class, err error) *Failure {
	var answer *textproto.Error
	if !errors.As(err, &answer) {
		return &Failure{Class: class, Step: step, Err: err}
	}
	return &Failure{Class: class, Step: step, Code: answer.Code, Enhanced: enhanced(answer.Msg)}
}

// enhanced answers the enhanced status code at the beginning of an answer, if there is one.
func enhanced(answer string) string {
	code, _, _ := strings.Cut(answer, " ")
	if len(code) > len("5.999.999") {
		return ""
	}
	parts := strings.Split(code, ".")
	if len(parts) != 3 || parts[0] != "2" && parts[0] != "4" && parts[0] != "5" {
		return ""
	}
	for _, p := range parts[1:] {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return ""
		}
	}
	return code
}
