package wallet

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Message is a Sign-In with Ethereum message (ERC-4361). Its text and its fields say the same: a field is never
// normalised, so what was read is written back byte for byte.
type Message struct {
	Scheme         string // of the origin; empty where it was not written, which means https
	Domain         string // RFC 3986 authority of the origin
	Address        Address
	Statement      string // empty where there is none; an empty one is not taken
	URI            string
	Version        string // always "1"
	ChainID        uint64 // EIP-155; never 0
	Nonce          string // at least 8 letters and digits
	IssuedAt       Timestamp
	ExpirationTime Timestamp // zero where it is absent
	NotBefore      Timestamp // zero where it is absent
	RequestID      *string   // nil where it is absent; it may be empty
	Resources      []string  // nil where they are absent; the list may be empty
}

// The fixed parts of a message, in their order.
const (
	sentence        = " wants you to sign in with your Ethereum account:"
	labelURI        = "URI: "
	labelVersion    = "Version: "
	labelChainID    = "Chain ID: "
	labelNonce      = "Nonce: "
	labelIssuedAt   = "Issued At: "
	labelExpiration = "Expiration Time: "
	labelNotBefore  = "Not Before: "
	labelRequestID  = "Request ID: "
	labelResources  = "Resources:"
	labelResource   = "- "
)

// Format writes the message. It answers ErrInvalidMessage where a field cannot stand where it is put: then the text
// would not be read back as this message.
func (m Message) Format() (string, error) {
	text := m.text()
	again, err := parse(text)
	if err != nil {
		return "", fmt.Errorf("wallet: format message: %w", err)
	}
	// A field that holds a line feed could write further fields ("…\n\nURI: https://evil.example").
	if !reflect.DeepEqual(again, m) {
		return "", fmt.Errorf("wallet: format message: a field reads as another: %w", ErrInvalidMessage)
	}
	return text, nil
}

// text writes the message unchecked.
func (m Message) text() string {
	var b strings.Builder
	line := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
		}
		b.WriteByte('\n')
	}
	if m.Scheme != "" {
		b.WriteString(m.Scheme + "://")
	}
	line(m.Domain, sentence)
	line(m.Address.String())
	line()
	if m.Statement != "" {
		line(m.Statement)
	}
	line()
	line(labelURI, m.URI)
	line(labelVersion, m.Version)
	line(labelChainID, strconv.FormatUint(m.ChainID, 10))
	line(labelNonce, m.Nonce)
	line(labelIssuedAt, m.IssuedAt.String())
	if !m.ExpirationTime.IsZero() {
		line(labelExpiration, m.ExpirationTime.String())
	}
	if !m.NotBefore.IsZero() {
		line(labelNotBefore, m.NotBefore.String())
	}
	if m.RequestID != nil {
		line(labelRequestID, *m.RequestID)
	}
	if m.Resources != nil {
		line(labelResources)
		for _, r := range m.Resources {
			line(labelResource, r)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}
