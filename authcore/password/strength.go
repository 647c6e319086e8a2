package password

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// leastPieces is how many pieces a password must have, where a piece is a character that nothing foretells. A word of
// the list, a walk over the keyboard, a year, a repetition count as few, however long they are: password123456789 has
// four.
const leastPieces = 7

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
	if pieces(text, addressParts(email)) < leastPieces {
		return &WeakError{Common}
	}
	if pieces(text, append(addressParts(email), siteParts(p.Sites)...)) < leastPieces {
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
func pieces(text []rune, own [][]rune) int {
	least := make([]int, len(text)+1) // for the beginnings of the text
	for i := range least {
		least[i] = i
	}
	for at := range text {
		take := func(length, price int) {
			least[at+length] = min(least[at+length], least[at]+price)
		}
		take(1, 1)
		for _, word := range own {
			if startsWith(text[at:], word) {
				take(len(word), ownPiece)
			}
		}
		for _, word := range listed {
			if startsWith(text[at:], word) {
				take(len(word), listedPiece)
			}
		}
		for _, walk := range walks {
			for n := walked(text[at:], walk); n > 2; n-- {
				take(n, listedPiece)
			}
		}
		if isYear(text[at:]) {
			take(4, listedPiece)
		}
		for n := 1; n <= min(at, len(text)-at, maxRepeat); n++ {
			if slices.Equal(text[at-n:at], text[at:at+n]) {
				take(repeated(text, at, n), repeatPiece)
			}
		}
	}
	return least[len(text)]
}

const (
	maxRepeat   = 32  // how long a unit is looked for within a password
	maxRepeated = 256 // how much of its repetitions are one piece, so that no password is long work
)

// repeated answers for how long the text goes on at a place to repeat the n characters before it.
func repeated(text []rune, at, n int) int {
	end := at
	for end < min(len(text), at+maxRepeated) && text[end] == text[end-n] {
		end++
	}
	return end - at
}

// walked answers how far the text follows a walk, from wherever on it.
func walked(text, walk []rune) int {
	longest := 0
	for from, r := range walk {
		if r != text[0] {
			continue
		}
		n := 1
		for n < len(text) && from+n < len(walk) && text[n] == walk[from+n] {
			n++
		}
		longest = max(longest, n)
	}
	return longest
}

func isYear(text []rune) bool {
	if len(text) < 4 || text[0] != '1' && text[0] != '2' || text[1] != '9' && text[1] != '0' {
		return false
	}
	return '0' <= text[2] && text[2] <= '9' && '0' <= text[3] && text[3] <= '9' && (text[0] == '1') == (text[1] == '9')
}

// startsWith reports whether the text begins with the word, where some letters are written as the digits and signs that
// look like them.
func startsWith(text, word []rune) bool {
	if len(text) < len(word) {
		return false
	}
	for i, r := range word {
		if text[i] != r && !looksLike(text[i], r) {
			return false
		}
	}
	return true
}

func looksLike(sign, letter rune) bool {
	switch sign {
	case '0':
		return letter == 'o'
	case '1', '!', '|':
		return letter == 'i' || letter == 'l'
	case '3', '€':
		return letter == 'e'
	case '4', '@':
		return letter == 'a'
	case '5', '$':
		return letter == 's'
	case '7', '+':
		return letter == 't'
	case '8':
		return letter == 'b'
	case '9':
		return letter == 'g'
	}
	return false
}

// leastPart is the shortest part of a name that is looked for: two letters are in many words.
const leastPart = 3

// addressParts are the pieces of an address that its owner would think of.
func addressParts(email string) [][]rune {
	local, domain, _ := strings.Cut(email, "@")
	return parts(email, local, domain, strings.NewReplacer(".", "", "-", "", "_", "", "+", "").Replace(local), domainName(domain))
}

// siteParts are the names of the site, as they are, without spaces, and for hosts without what all hosts have.
func siteParts(sites []string) [][]rune {
	var all []string
	for _, site := range sites {
		site = strings.ToLower(norm.NFKC.String(site))
		if _, host, isURL := strings.Cut(site, "://"); isURL {
			site = host
		}
		all = append(all, site, strings.ReplaceAll(site, " ", ""), domainName(site))
		all = append(all, strings.FieldsFunc(site, func(r rune) bool { return strings.ContainsRune(" .:-_/", r) })...)
	}
	return parts(all...)
}

// domainName answers the label before the last one: "example" of app.example.com.
func domainName(domain string) string {
	labels := strings.Split(domain, ".")
	return labels[max(0, len(labels)-2)]
}

func parts(names ...string) [][]rune {
	var all [][]rune
	for _, name := range names {
		if part := []rune(name); len(part) >= leastPart {
			all = append(all, part)
		}
	}
	return all
}
