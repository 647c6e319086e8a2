package password

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// leastPieces is how many pieces a password must have, where a piece is a character that nothing foretells. A word of
// the list, a walk over the keyboard, a year, a repetition count as few, however long they are: password123456789 has
// four.
const leastPieces = 7

// maxJudged is how many characters are judged: what begins with so many that are foretold is weak, whatever follows.
const maxJudged = 128

// The prices of what is foretold, in pieces.
const (
	ownPiece    = 1 // the address, the name of the site
	repeatPiece = 1 // of what came just before
	listedPiece = 2 // a word, a walk, a year
)

// canonical is the form in which passwords are hashed and measured: keyboards and systems write the same characters in
// different ways (NIST SP 800-63B-4 section 3.1.1.2; NFC, as RFC 8265 section 4.2.1 asks).
func canonical(password string) string { return norm.NFC.String(password) }

// checkNew says why a password may not be the new one of the account with this address: a *WeakError, or nil. Any
// characters are welcome, spaces too, and no kinds of them are asked for.
func (p *Passwords) checkNew(password, email string) error {
	password = canonical(password)
	switch {
	case len(password) > p.maxLength():
		return &WeakError{TooLong}
	case utf8.RuneCountInString(password) < p.minLength():
		return &WeakError{TooShort}
	}
	// A unit that is repeated is worth what it is worth alone.
	text := []rune(strings.ToLower(norm.NFKC.String(password)))
	text = text[:unit(text)]
	if len(text) < p.minLength() {
		return &WeakError{Common}
	}
	text = text[:min(len(text), maxJudged)]
	var own trie
	addAddress(&own, email)
	if pieces(text, &own) < leastPieces {
		return &WeakError{Common}
	}
	addSites(&own, p.Sites)
	if pieces(text, &own) < leastPieces {
		return &WeakError{Site}
	}
	return nil
}

// unit answers the length of the shortest beginning of which the whole text is a repetition, the last one cut short or
// not; the length of the text where it is not twice there.
func unit(text []rune) int {
	// The failure function of Knuth, Morris and Pratt.
	border := make([]int, len(text)+1)
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = border[k]
		}
		if text[i] == text[k] {
			k++
		}
		border[i+1] = k
	}
	if period := len(text) - border[len(text)]; 2*period <= len(text) {
		return period
	}
	return len(text)
}

// pieces answers the least number of pieces that the text can be put together from.
func pieces(text []rune, own *trie) int {
	known := foretold()
	least := make([]int, len(text)+1) // for the beginnings of the text
	for i := range least {
		least[i] = i
	}
	for at := range text {
		rest := text[at:]
		take := func(length, price int) {
			least[at+length] = min(least[at+length], least[at]+price)
		}
		take(1, 1)
		own.match(rest, 0, func(n int) { take(n, ownPiece) })
		known.words.match(rest, 0, func(n int) { take(n, listedPiece) })
		if len(rest) >= leastWalk {
			for _, walk := range known.walks[[leastWalk]rune(rest)] {
				for n := range alike(rest, walk) {
					take(n+1, listedPiece)
				}
			}
		}
		if isYear(rest) {
			take(4, listedPiece)
		}
		for n := 1; n <= min(at, maxRepeat); n++ {
			if again := alike(rest, text[at-n:]); again >= n {
				take(again, repeatPiece)
			}
		}
	}
	return least[len(text)]
}

// maxRepeat is how long a unit is looked for within a password.
const maxRepeat = 32

// alike answers for how long two texts are the same.
func alike(a, b []rune) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func isYear(text []rune) bool {
	if len(text) < 4 || text[0] != '1' && text[0] != '2' || text[1] != '9' && text[1] != '0' {
		return false
	}
	return '0' <= text[2] && text[2] <= '9' && '0' <= text[3] && text[3] <= '9' && (text[0] == '1') == (text[1] == '9')
}

// leastPart is the shortest part of a name that is looked for: two letters are in many words.
const leastPart = 3

// addAddress adds the pieces of an address that its owner would think of.
func addAddress(own *trie, email string) {
	local, domain, _ := strings.Cut(email, "@")
	own.addParts(email, local, strings.NewReplacer(".", "", "-", "", "_", "", "+", "").Replace(local), domain, domainName(domain))
}

// addSites adds the names of the site: as they are, without spaces, and word by word, or label by label.
func addSites(own *trie, sites []string) {
	for _, site := range sites {
		site = strings.ToLower(norm.NFKC.String(site))
		if _, host, isURL := strings.Cut(site, "://"); isURL {
			site = host
		}
		own.addParts(site, strings.ReplaceAll(site, " ", ""))
		own.addParts(strings.FieldsFunc(site, func(r rune) bool { return strings.ContainsRune(" .:-_/", r) })...)
	}
}

// domainName answers the label before the last one: "example" of app.example.com.
func domainName(domain string) string {
	labels := strings.Split(domain, ".")
	return labels[max(0, len(labels)-2)]
}

func (t *trie) addParts(names ...string) {
	for _, name := range names {
		if part := []rune(name); len(part) >= leastPart {
			t.add(part)
		}
	}
}
