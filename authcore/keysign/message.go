package keysign

import (
	"fmt"
	"strings"
	"time"
)

// maxMessage bounds what is read at all, in bytes. Honest messages have some 400.
const maxMessage = 4096

// sentences end the first line of a message, by kind. They tell messages of one kind from those of another and from those
// of Ethereum wallets, so that no signature counts twice.
var sentences = map[Kind]string{
	Solana:  " wants you to sign in with your Solana account:",
	Ed25519: " wants you to sign in with your Ed25519 key:",
	MLDSA65: " wants you to sign in with your ML-DSA-65 key:",
}

const labelNonce = "\nNonce: "

// text writes the message to sign: CAIP-122 in the layout of Sign In With Solana, which leaves a wallet nothing to choose
// but its address. Without an account the second line is empty.
func (a Asked) text(kind Kind, account string) string {
	var b strings.Builder
	b.WriteString(a.Domain + sentences[kind] + "\n" + account + "\n\n" + a.Statement + "\n\nURI: " + a.URI + "\nVersion: " + a.Version)
	if a.ChainID != "" {
		b.WriteString("\nChain ID: " + a.ChainID)
	}
	b.WriteString(labelNonce + a.Nonce + "\nIssued At: " + Stamp(a.IssuedAt) + "\nExpiration Time: " + Stamp(a.Expires))
	return b.String()
}

// written is how an account stands in a message: a Solana wallet as its address, as wallets write it themselves.
func (a Account) written() string {
	if a.Kind == Solana {
		return a.Name
	}
	return a.Key()
}

// Stamp writes a time in UTC, to the millisecond, as browsers do.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// KindOf answers for which kind of key a message is, if it is for one of this package, by its first line.
func KindOf(message string) (Kind, bool) {
	line, _, _ := strings.Cut(message, "\n")
	for _, kind := range kinds {
		if strings.HasSuffix(line, sentences[kind]) {
			return kind, true
		}
	}
	return "", false
}

// signed is a message as far as it is read: enough to find its challenge, by whose hash all of it is judged.
type signed struct {
	account Account
	nonce   string
	open    string // the message without the account, as it was issued where the account was left open
}

// read finds the account and the nonce.
func read(message string) (signed, error) {
	refuse := func(what string) (signed, error) {
		// What it is instead is the client's, and would end up in logs.
		return signed{}, fmt.Errorf("keysign: message: %s: %w", what, ErrInvalidMessage)
	}
	if len(message) > maxMessage {
		return refuse("too long")
	}
	kind, ok := KindOf(message)
	if !ok {
		return refuse("line 1 names no kind of key")
	}
	first, rest, _ := strings.Cut(message, "\n")
	name, rest, ok := strings.Cut(rest, "\n")
	if !ok {
		return refuse("it ends after the account")
	}
	// The last of them: the statement is free to have such a line, what follows the nonce is not.
	at := strings.LastIndex(rest, labelNonce)
	if at < 0 {
		return refuse("no nonce")
	}
	nonce, _, _ := strings.Cut(rest[at+len(labelNonce):], "\n")
	if kind == Solana {
		name = string(Solana) + ":" + name
	}
	account, err := ParseAccount(name)
	// An ML-DSA-65 key written as a whole is no line of a message, but its name is.
	if err != nil || account.Kind != kind || account.Key() != name {
		return refuse("line 2 is not the account")
	}
	return signed{account: account, nonce: nonce, open: first + "\n\n" + rest}, nil
}
