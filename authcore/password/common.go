package password

import (
	"slices"
	"strings"
	"sync"
)

// foretold is what passwords are often made of, so that it can be looked up from any place in one. It never changes.
var foretold = sync.OnceValue(func() lexicon {
	l := lexicon{walks: map[[leastWalk]rune][][]rune{}}
	for _, word := range bothWays(strings.Fields(commonWords)) {
		l.words.add(word)
	}
	for _, walk := range bothWays(strings.Fields(knownOrders)) {
		for from := range len(walk) - leastWalk + 1 {
			start := [leastWalk]rune(walk[from:])
			l.walks[start] = append(l.walks[start], walk[from:])
		}
	}
	return l
})

type lexicon struct {
	words trie
	// walks are all ends of the ways that fingers go over keyboards, and of the orders that everybody knows, by how they
	// begin.
	walks map[[leastWalk]rune][][]rune
}

// leastWalk is how many steps make a walk: two keys side by side are in many words.
const leastWalk = 3

// trie is a set of words.
type trie struct {
	next map[rune]*trie
	ends bool // a word ends here
}

func (t *trie) add(word []rune) {
	for _, r := range word {
		if t.next == nil {
			t.next = map[rune]*trie{}
		}
		if t.next[r] == nil {
			t.next[r] = &trie{}
		}
		t = t.next[r]
	}
	t.ends = true
}

// match calls found with the length of every word with which the text begins, where some letters may be written as the
// digits and signs that look like them.
func (t *trie) match(text []rune, length int, found func(int)) {
	if t.ends {
		found(length)
	}
	if length == len(text) {
		return
	}
	if next := t.next[text[length]]; next != nil {
		next.match(text, length+1, found)
	}
	for _, letter := range looksLike(text[length]) {
		if next := t.next[letter]; next != nil {
			next.match(text, length+1, found)
		}
	}
}

func looksLike(sign rune) string {
	switch sign {
	case '0':
		return "o"
	case '1', '!', '|':
		return "il"
	case '3', '€':
		return "e"
	case '4', '@':
		return "a"
	case '5', '$':
		return "s"
	case '7', '+':
		return "t"
	case '8':
		return "b"
	case '9':
		return "g"
	}
	return ""
}

// bothWays answers words forwards and backwards.
func bothWays(words []string) [][]rune {
	var all [][]rune
	for _, word := range words {
		forwards := []rune(word)
		backwards := slices.Clone(forwards)
		slices.Reverse(backwards)
		all = append(all, forwards, backwards)
	}
	return all
}

// knownOrders: digits and alphabets; the rows, and the columns one after the other, of the keyboards of several
// countries, plain and with shift.
const knownOrders = `
01234567890123456789 abcdefghijklmnopqrstuvwxyz абвгдежзийклмнопрстуфхцчшщъыьэюя
qwertyuiop[]\ asdfghjkl;' zxcvbnm,./ qwertyuiopasdfghjklzxcvbnm qwertzuiopü asdfghjklöä yxcvbnm,.- azertyuiop qsdfghjklm wxcvbn
йцукенгшщзхъ фывапролджэ ячсмитьбю йцукенгшщзхъфывапролджэячсмитьбю
1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/ !qaz@wsx#edc$rfv%tgb^yhn&ujm*ik<(ol>)p:? 1q2w3e4r5t6y7u8i9o0p q1w2e3r4t5y6u7i8o9p0
qazwsxedcrfvtgbyhnujmikolp 1qay2wsx3edc4rfv5tgb6zhn7ujm !@#$%^&*()_+ !"§$%&/()=? 147258369 159753 789456123 13579 24680 112233445566778899
`

// commonWords are what tops lists of leaked passwords, and the words that are put before digits to make one longer.
const commonWords = `
password passwd pass passcode passphrase passwort kennwort geheim motdepasse contraseña contrasena clave senha parola
wachtwoord heslo haslo hasło salasana lösenord losenord adgangskode пароль secret default changeme change please letmein
login logon signin welcome willkommen bienvenue bienvenido access account admin administrator administrador root master
user username guest test tester testing temp temporary demo sample system server service support manager office computer
internet private public security secure safe trustno trust nothing something anything whatever unknown qwerty azerty
qwertz iloveyou ilove love lovely lover loveme loveyou mylove jetaime teamo tequiero amor amour liebe schatz kiss kisses
hello hallo bonjour salut hola ciao привет goodbye baby babygirl babyboy angel angels heaven devil god jesus christ bless
blessed faith hope grace peace spirit princess prince queen king kingdom lord lady girl boys girls family mother father
mommy daddy mama papa brother sister friend friends forever always together happy smile sweet sweety sweetheart honey
sugar candy cookie chocolate cheese banana apple orange lemon cherry peach strawberry blueberry pepper ginger coffee
sunshine sunny sunflower moonlight moon star stars starlight rainbow flower flowers rose lily daisy jasmine violet
butterfly dragon dragons monkey tiger tigers lion eagle eagles falcon hawk phoenix wolf bear bears panther cobra shark
dolphin turtle rabbit bunny kitty kitten puppy doggy horse ponies chicken buster bailey buddy snoopy garfield mickey
minnie pokemon pikachu charizard naruto sasuke goku batman superman spiderman ironman wolverine avengers starwars
skywalker yoda matrix gandalf merlin wizard magic mystic shadow ghost killer hunter ranger soldier warrior ninja samurai
pirate viking knight cowboy thunder lightning storm hurricane tornado fire flame phantom stealth blade silver golden gold
diamond crystal ruby emerald platinum money dollar million cash rich lucky winner champion legend hero super power energy
turbo nitro rocket racing racer ferrari porsche mercedes corvette mustang camaro harley yamaha honda toyota football
soccer futbol fussball baseball basketball hockey tennis golf golfer cricket skating surfing swimming sports player
arsenal chelsea liverpool manchester barcelona juventus realmadrid bayern dortmund lakers yankees cowboys steelers
packers redsox michael jordan michelle jessica jennifer ashley amanda nicole daniel david andrew thomas charlie robert
william matthew joshua anthony alexander alexandra christian christopher jonathan benjamin samantha elizabeth stephanie
victoria natalie patricia barbara maria anna julia laura sarah sophie emily hannah olivia andrea carlos antonio francisco
alejandro fernando ricardo roberto eduardo gabriel martin george patrick richard steven brandon justin taylor maggie
maxwell oliver oscar sebastian nathalie nicolas pierre camille doudou loulou soleil chouchou hamster mustermann spring
summer autumn winter sommer herbst hiver printemps january february march april june july august september october
november december monday tuesday wednesday thursday friday saturday sunday weekend birthday christmas halloween easter
holiday vacation summertime america american england germany deutschland france paris london berlin madrid italia roma
canada mexico brasil argentina colombia australia india pakistan china japan russia москва россия любовь newyork chicago
boston dallas texas florida california hollywood vegas orlando phoenix denver jackson music guitar metallica slipknot
nirvana eminem beatles elvis rockstar rock metal blink linkinpark backstreet dance dancer disco party freedom liberty
justice america eternity infinity galaxy universe planet earth ocean island beach river mountain forest garden purple
yellow green black white blue pink scarlet midnight morning dream dreams dreamer memory monster zombie vampire fuckyou
fuckoff fuck bitch asshole shit sexy sexsex pussy google facebook youtube twitter instagram microsoft windows samsung
iphone android linux ubuntu oracle cisco amazon netflix minecraft fortnite roblox nintendo playstation xbox gamer gaming
player database backup network developer hacker coding wallet bitcoin ethereum crypto blockchain metamask correcthorse
batterystaple abcd aaaa zaq1 qweasd qweasdzxc asdf zxcv qwer poiu 1234 4321 4711 0815 1337 0000 1111 6969 7777 9999
company business student teacher school college university hospital police doctor nurse lawyer engineer member customer
client oneteam mypassword mypass thepassword newpassword nopassword passpass letmeinnow opensesame sesame abracadabra
`
