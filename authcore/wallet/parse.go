package wallet

import (
	"fmt"
	"strconv"
	"strings"
)

// maxMessage bounds what is read at all, in bytes. Honest messages have some 400.
const maxMessage = 4096

// ParseMessage reads a message by the ABNF of ERC-4361: every line in its place, nothing before, between or after them.
// Beyond the grammar it demands what makes a message mean one thing: at most 4096 bytes, an address with its ERC-55
// checksum, a chain id of 64 bits without leading zeros, no empty statement. Every refusal is ErrInvalidMessage, with the
// number of the line.
func ParseMessage(text string) (Message, error) {
	m, err := parse(text)
	if err != nil {
		return Message{}, fmt.Errorf("wallet: parse message: %w", err)
	}
	// What is signed are bytes, what is judged are fields: they must say the same. This is also what demands the checksum
	// of the address (ERC-4361, ERC-55) and refuses the chain 007 and text after "Resources:".
	if canonical := m.text(); canonical != text {
		return Message{}, fmt.Errorf("wallet: parse message: line %d: not in its canonical form: %w", firstDifference(text, canonical), ErrInvalidMessage)
	}
	return m, nil
}

// firstDifference answers the number of the first line in which two texts differ.
func firstDifference(a, b string) int {
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	return 1 + strings.Count(a[:same], "\n")
}

// lines walks over the lines of a message; each is taken once.
type lines struct {
	left []string
	n    int // the number of the line taken last
}

func (l *lines) next() (string, bool) {
	l.n++
	if len(l.left) == 0 {
		return "", false
	}
	line := l.left[0]
	l.left = l.left[1:]
	return line, true
}

// labelled takes the next line where it begins with the label, and answers what follows.
func (l *lines) labelled(label string) (string, bool) {
	if len(l.left) == 0 || !strings.HasPrefix(l.left[0], label) {
		return "", false
	}
	line, _ := l.next()
	return line[len(label):], true
}

// refuse names what is wrong with the line taken last. The line itself is not told: it is the client's, and would end
// up in logs.
func (l *lines) refuse(what string) error {
	return fmt.Errorf("line %d: %s: %w", l.n, what, ErrInvalidMessage)
}

// refuseNext names what the next line is not.
func (l *lines) refuseNext(what string) error {
	l.n++
	return l.refuse(what)
}

func parse(text string) (Message, error) {
	if len(text) > maxMessage {
		return Message{}, fmt.Errorf("longer than %d bytes: %w", maxMessage, ErrInvalidMessage)
	}
	l := &lines{left: strings.Split(text, "\n")}
	var m Message
	for _, part := range []func(*lines) error{m.parseHead, m.parseFields, m.parseOptional} {
		if err := part(l); err != nil {
			return Message{}, err
		}
	}
	return m, nil
}

// parseHead reads up to the empty line before "URI: ".
func (m *Message) parseHead(l *lines) error {
	line, _ := l.next()
	origin, ok := strings.CutSuffix(line, sentence)
	if !ok {
		return l.refuse("does not end as the first line of a sign-in message")
	}
	m.Domain = origin
	if scheme, domain, ok := strings.Cut(origin, "://"); ok {
		if !isScheme(scheme) {
			return l.refuse("the scheme is not valid")
		}
		m.Scheme, m.Domain = scheme, domain
	}
	if a, ok := splitAuthority(m.Domain); !ok || a.host == "" {
		return l.refuse("the domain is not valid")
	}
	line, _ = l.next()
	var err error
	if m.Address, err = ParseAddress(line); err != nil {
		return l.refuse("not an address")
	}
	if line, ok = l.next(); !ok || line != "" {
		return l.refuse("not empty")
	}
	if line, _ = l.next(); line == "" {
		return nil
	}
	if !isStatement(line) {
		return l.refuse("the statement has a character that it may not have")
	}
	m.Statement = line
	if line, ok = l.next(); !ok || line != "" {
		return l.refuse("not empty")
	}
	return nil
}

// parseFields reads the fields that every message has.
func (m *Message) parseFields(l *lines) error {
	var chain, issued string
	for _, f := range []struct {
		label string
		to    *string
	}{
		{labelURI, &m.URI},
		{labelVersion, &m.Version},
		{labelChainID, &chain},
		{labelNonce, &m.Nonce},
		{labelIssuedAt, &issued},
	} {
		value, ok := l.labelled(f.label)
		if !ok {
			return l.refuseNext("not " + strings.TrimSuffix(f.label, ": "))
		}
		*f.to = value
		switch f.label {
		case labelURI:
			_, ok = splitURI(value)
		case labelVersion:
			ok = value == "1"
		case labelChainID:
			var err error
			// 2^64+1 is no number here; it must not become 1.
			m.ChainID, err = strconv.ParseUint(value, 10, 64)
			ok = err == nil && m.ChainID > 0
		case labelNonce:
			ok = isNonce(value)
		case labelIssuedAt:
			var err error
			m.IssuedAt, err = ParseTimestamp(value)
			ok = err == nil
		}
		if !ok {
			return l.refuse("the value is not valid")
		}
	}
	return nil
}

// parseOptional reads the fields that a message may have, and demands that nothing follows.
func (m *Message) parseOptional(l *lines) error {
	for _, f := range []struct {
		label string
		to    *Timestamp
	}{
		{labelExpiration, &m.ExpirationTime},
		{labelNotBefore, &m.NotBefore},
	} {
		value, ok := l.labelled(f.label)
		if !ok {
			continue
		}
		var err error
		// A date that cannot be read is no date that has not come yet.
		if *f.to, err = ParseTimestamp(value); err != nil {
			return l.refuse(err.Error())
		}
	}
	if id, ok := l.labelled(labelRequestID); ok {
		if !isEncoded(id, ":@") {
			return l.refuse("the request id has a character that it may not have")
		}
		m.RequestID = &id
	}
	if _, ok := l.labelled(labelResources); ok {
		m.Resources = []string{}
		for uri, ok := l.labelled(labelResource); ok; uri, ok = l.labelled(labelResource) {
			if _, valid := splitURI(uri); !valid {
				return l.refuse("the resource is not a URI")
			}
			m.Resources = append(m.Resources, uri)
		}
	}
	if len(l.left) > 0 {
		return l.refuseNext("unknown, repeated or not in its place")
	}
	return nil
}

// isNonce: nonce = 8*( ALPHA / DIGIT ).
func isNonce(s string) bool {
	for i := range len(s) {
		if !isAlpha(s[i]) && !isDigit(s[i]) {
			return false
		}
	}
	return len(s) >= 8
}

// isStatement: statement = *( reserved / unreserved / " " ). That is printable ASCII without " % < > \ ^ ` { | }: a
// carriage return or a bidirectional mark could show the user another text than the one that is signed.
func isStatement(s string) bool {
	for i := range len(s) {
		if !isPlain(s[i]) && strings.IndexByte(":/?#[]@ ", s[i]) < 0 {
			return false
		}
	}
	return true
}
