package keysign

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/caddy-authgate/authgate/authcore"
)

// One bit of what was issued is another message: no field of it is the attacker's, whoever signs it.
func TestChangedMessage(t *testing.T) {
	s, other := newSigner(1), newSigner(2)
	for _, open := range []bool{false, true} {
		for _, c := range []struct{ name, old, new string }{
			// A site that asks its visitors to sign in to itself, with a nonce that it got here.
			{"domain of another site", "app.example.com wants", "evil.example wants"},
			{"domain below", "app.example.com wants", "x.app.example.com wants"},
			{"domain in another case", "app.example.com wants", "App.example.com wants"},
			{"domain with a user", "app.example.com wants", "app.example.com@evil.example wants"},
			{"URI", "URI: https://app", "URI: https://evil"},
			{"statement", "Sign in.", "Sign it."},
			{"no statement", "\n\nSign in.", ""},
			{"version", "Version: 1", "Version: 2"},
			{"cluster", "Chain ID: mainnet", "Chain ID: devnet"},
			{"no cluster", "\nChain ID: mainnet", ""},
			{"later expiration", "Expiration Time: 2026", "Expiration Time: 2036"},
			{"no expiration", "\nExpiration Time: 2026-11-22T12:01:00.250Z", ""},
			{"trailing data", "01:00.250Z", "01:00.250Z\n"},
			{"resources", "01:00.250Z", "01:00.250Z\nResources:\n- urn:recap:x"},
			{"not before", "01:00.250Z", "01:00.250Z\nNot Before: 2026-11-22T12:00:00.250Z"},
			{"carriage returns", "\nURI", "\r\nURI"},
		} {
			t.Run(c.name, func(t *testing.T) {
				h := build(t)
				account := s.account(Solana)
				ask := account.Key()
				if open {
					ask = ""
				}
				message := fill(h.begin(t, Solana, ask), account.Name)
				changed := strings.Replace(message, c.old, c.new, 1)
				if changed == message {
					t.Fatal("nothing was changed")
				}
				if _, err := h.Finish(ctx, s.answer(t, changed)); !errors.Is(err, ErrInvalidMessage) {
					t.Errorf("open %t: %v", open, err)
				}
				// And it is spent.
				if _, err := h.Finish(ctx, s.answer(t, message)); !errors.Is(err, authcore.ErrChallengeNotFound) {
					t.Errorf("open %t: after it: %v", open, err)
				}
			})
		}
	}
	// A challenge for one account is none for another.
	for _, kind := range kinds {
		h := build(t)
		message := h.begin(t, kind, s.account(kind).Key()).Message
		message = strings.Replace(message, s.account(kind).Name, other.account(kind).Name, 1)
		if _, err := h.Finish(ctx, other.answer(t, message)); !errors.Is(err, ErrInvalidMessage) {
			t.Errorf("%s: another account: %v", kind, err)
		}
	}
}

// The same 32 bytes are an Ed25519 key and a Solana wallet. A program that signs what it is given must not be brought to
// sign in a wallet's owner, nor the other way round.
func TestKindsAreApart(t *testing.T) {
	s := newSigner(1)
	for _, c := range []struct{ asked, signed Kind }{{Ed25519, Solana}, {Solana, Ed25519}} {
		h := build(t)
		message := h.begin(t, c.asked, s.account(c.asked).Key()).Message
		forged := strings.Replace(message, sentences[c.asked], sentences[c.signed], 1)
		forged = strings.Replace(forged, s.account(c.asked).written(), s.account(c.signed).written(), 1)
		if _, err := h.Finish(ctx, s.answer(t, forged)); !errors.Is(err, ErrInvalidMessage) {
			t.Errorf("%s as %s: %v", c.asked, c.signed, err)
		}
	}
	// A signature for the one does not fit the message of the other.
	h := build(t)
	h.Rand = &sequence{}
	wallet := h.begin(t, Solana, s.account(Solana).Key())
	answer := s.answer(t, wallet.Message)
	h.Rand = &sequence{n: 40}
	answer.Message = h.begin(t, Ed25519, s.account(Ed25519).Key()).Message
	if _, err := h.Finish(ctx, answer); !errors.Is(err, ErrInvalidSignature) {
		t.Errorf("another kind's signature: %v", err)
	}
	if s.account(Solana).Key() == s.account(Ed25519).Key() {
		t.Error("one credential key for two kinds")
	}
}

// A challenge that was given to another site, user or purpose counts for nothing here.
func TestBinding(t *testing.T) {
	s := newSigner(1)
	account := s.account(Solana).Key()
	for _, c := range []struct {
		name   string
		ask    Ask
		answer Answer
	}{
		{"another site", Ask{Origin: home}, Answer{Origin: "https://other.example.com"}},
		{"another port", Ask{Origin: home}, Answer{Origin: home + ":8443"}},
		{"another scheme", Ask{Origin: home}, Answer{Origin: "http://app.example.com"}},
		{"somebody signed in meanwhile", Ask{Origin: home}, Answer{Origin: home, Subject: "mallory"}},
		{"another user", Ask{Origin: home, Subject: "alice"}, Answer{Origin: home, Subject: "mallory"}},
		{"nobody any more", Ask{Origin: home, Subject: "alice"}, Answer{Origin: home}},
		{"step up to sign in", Ask{Origin: home, Subject: "alice", StepUp: true}, Answer{Origin: home, Subject: "alice"}},
		{"sign in to step up", Ask{Origin: home, Subject: "alice"}, Answer{Origin: home, Subject: "alice", StepUp: true}},
	} {
		h := build(t)
		c.ask.Kind, c.ask.Account = Solana, account
		asked, err := h.Begin(ctx, c.ask)
		if err != nil {
			t.Fatal(err)
		}
		signed := s.answer(t, asked.Message)
		c.answer.Message, c.answer.Signature = signed.Message, signed.Signature
		if _, err := h.Finish(ctx, c.answer); !errors.Is(err, authcore.ErrChallengeNotFound) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestSignatureRefusals(t *testing.T) {
	s, other := newSigner(1), newSigner(2)
	for _, kind := range kinds {
		for _, c := range []struct {
			name   string
			change func(*Answer)
			want   error
		}{
			{"of another key", func(a *Answer) { *a = other.answer(t, a.Message); a.Key = s.whole() }, ErrInvalidSignature},
			{"first bit", func(a *Answer) { a.Signature = flipped(a.Signature, 0) }, ErrInvalidSignature},
			{"last bit", func(a *Answer) { a.Signature = flipped(a.Signature, len(a.Signature)/2-2) }, ErrInvalidSignature},
			{"too short", func(a *Answer) { a.Signature = a.Signature[:len(a.Signature)-2] }, ErrInvalidSignature},
			{"too long", func(a *Answer) { a.Signature += "00" }, ErrInvalidSignature},
			{"without 0x", func(a *Answer) { a.Signature = a.Signature[2:] + "00" }, ErrInvalidSignature},
			{"not hexadecimal", func(a *Answer) { a.Signature = a.Signature[:len(a.Signature)-1] + "g" }, ErrInvalidSignature},
			{"empty", func(a *Answer) { a.Signature = "" }, ErrInvalidSignature},
			{"zeros", func(a *Answer) { a.Signature = "0x" + strings.Repeat("0", len(a.Signature)-2) }, ErrInvalidSignature},
		} {
			h := build(t)
			answer := s.answer(t, h.begin(t, kind, s.account(kind).Key()).Message)
			c.change(&answer)
			if _, err := h.Finish(ctx, answer); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v", kind, c.name, err)
			}
		}
	}
}

// The whole key comes with the answer, so it is the attacker's: it must be the one whose hash was signed in.
func TestMLDSA65ForeignKey(t *testing.T) {
	s, mallory := newSigner(1), newSigner(2)
	for _, c := range []struct {
		name, key string
		want      error
	}{
		{"of the attacker", mallory.whole(), ErrInvalidSignature},
		{"none", "", ErrInvalidKey},
		{"its hash only", s.account(MLDSA65).Key(), ErrInvalidKey},
		{"as another kind", "ed25519:" + s.whole()[len("ml-dsa-65:"):], ErrInvalidKey},
		{"in upper case", "ml-dsa-65:" + strings.ToUpper(s.whole()[len("ml-dsa-65:"):]), ErrInvalidKey},
		{"with a byte more", s.whole() + "00", ErrInvalidKey},
	} {
		h := build(t)
		// Signed by the attacker, over the message of the owner.
		answer := mallory.answer(t, h.begin(t, MLDSA65, s.account(MLDSA65).Key()).Message)
		answer.Key = c.key
		if a, err := h.Finish(ctx, answer); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", c.name, a, err)
		}
	}
}

// A signature under a context, or over the hash of the message, is a signature for something else (FIPS 204 section 5.4).
func TestMLDSA65Context(t *testing.T) {
	h, s := build(t), newSigner(1)
	answer := s.answer(t, h.begin(t, MLDSA65, s.account(MLDSA65).Key()).Message)
	var sig [mldsa65.SignatureSize]byte
	if err := mldsa65.SignTo(s.mldsa, []byte(answer.Message), []byte("another protocol"), false, sig[:]); err != nil {
		t.Fatal(err)
	}
	answer.Signature = "0x" + hex.EncodeToString(sig[:])
	if _, err := h.Finish(ctx, answer); !errors.Is(err, ErrInvalidSignature) {
		t.Errorf("%v", err)
	}
}

// order is that of the base point, l.
var order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// Of (R, s) anybody can make (R, s+l), which verifiers without a bound take as well: a second signature for one message.
func TestMalleableSignature(t *testing.T) {
	for _, kind := range []Kind{Solana, Ed25519} {
		h, s := build(t), newSigner(1)
		answer := s.answer(t, h.begin(t, kind, s.account(kind).Key()).Message)
		sig, err := hex.DecodeString(answer.Signature[2:])
		if err != nil {
			t.Fatal(err)
		}
		little := slices.Clone(sig[32:])
		slices.Reverse(little)
		more := new(big.Int).Add(new(big.Int).SetBytes(little), order).FillBytes(make([]byte, 32))
		slices.Reverse(more)
		answer.Signature = "0x" + hex.EncodeToString(append(sig[:32:32], more...))
		if _, err := h.Finish(ctx, answer); !errors.Is(err, ErrInvalidSignature) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// smallOrder are all points of small order, in every spelling that libraries take.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000", // the identity
	"0100000000000000000000000000000000000000000000000000000000000080", // with the sign of zero
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // with y + p
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"0000000000000000000000000000000000000000000000000000000000000000", // order 4
	"0000000000000000000000000000000000000000000000000000000000000080",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

// With a key of small order a signature needs no secret: R the identity and s zero are good for one message in eight at
// worst, and for every message where the key is the identity. An account of such a key is everybody's.
func TestSmallOrderKey(t *testing.T) {
	forged := append(append([]byte{1}, make([]byte, 31)...), make([]byte, 32)...)
	identity, err := hex.DecodeString(smallOrder[0])
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(identity, []byte("whatever"), forged) {
		t.Fatal("the library refuses it now; then this guard is only a second one")
	}
	for _, text := range smallOrder {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []Account{{Ed25519, text}, {Solana, encode58([32]byte(b))}} {
			if _, err := ParseAccount(a.Key()); !errors.Is(err, ErrInvalidKey) {
				t.Errorf("%s: %v", a.Key(), err)
			}
			// Nor where a wallet writes it into a message itself.
			h := build(t)
			message := h.begin(t, Solana, "")
			answer := Answer{Origin: home, Message: fill(message, a.Name), Signature: "0x" + hex.EncodeToString(forged)}
			if _, err := h.Finish(ctx, answer); !errors.Is(err, ErrInvalidMessage) {
				t.Errorf("%s in a message: %v", a.Key(), err)
			}
		}
	}
}

// A key with a part of small order has the same secret as seven others: one person could be eight, and verifiers with and
// without the cofactor disagree about its signatures.
func TestMixedOrderKey(t *testing.T) {
	secret := sha512.Sum512([]byte("secret"))
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(secret[:32])
	if err != nil {
		t.Fatal(err)
	}
	p := new(edwards25519.Point).ScalarBaseMult(scalar)
	if err := checkPoint([32]byte(p.Bytes())); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{smallOrder[4], smallOrder[6], smallOrder[10], smallOrder[12]} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		torsion, err := new(edwards25519.Point).SetBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		mixed := new(edwards25519.Point).Add(p, torsion)
		if err := checkPoint([32]byte(mixed.Bytes())); !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%x: %v", mixed.Bytes(), err)
		}
	}
}

// An account that a program on Solana owns is no point of the curve; nobody can sign for it.
func TestProgramAccount(t *testing.T) {
	for n := byte(2); ; n++ {
		candidate := [32]byte{n}
		if _, err := new(edwards25519.Point).SetBytes(candidate[:]); err == nil {
			continue
		}
		if _, err := ParseAccount("solana:" + encode58(candidate)); !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%v", err)
		}
		return
	}
}

// A second spelling of a point, with y and p in sum, would be a second account of one key.
func TestNonCanonicalKey(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	good := 0
	for y := range int64(19) {
		for _, sign := range []byte{0, 0x80} {
			spelled := func(n *big.Int) (key [32]byte) {
				n.FillBytes(key[:])
				slices.Reverse(key[:])
				key[31] |= sign
				return key
			}
			if checkPoint(spelled(big.NewInt(y))) == nil {
				good++
			}
			if err := checkPoint(spelled(new(big.Int).Add(p, big.NewInt(y)))); !errors.Is(err, ErrInvalidKey) {
				t.Errorf("y = p + %d: %v", y, err)
			}
		}
	}
	// All of them are out as points of another group; no further check is needed.
	if good > 0 {
		t.Errorf("%d good keys have a second spelling", good)
	}
}

// The account in a message stands there in the form of its kind, and in no other one that can be read.
func TestAccountOfAnotherForm(t *testing.T) {
	s := newSigner(1)
	for _, c := range []struct {
		name string
		kind Kind
		line string
	}{
		{"ML-DSA-65 as Ed25519", Ed25519, s.account(MLDSA65).Key()},
		{"Ed25519 as ML-DSA-65", MLDSA65, s.account(Ed25519).Key()},
		{"Solana wallet as Ed25519", Ed25519, s.account(Solana).Key()},
		{"Solana wallet with its kind", Solana, s.account(Solana).Key()},
		{"whole ML-DSA-65 key", MLDSA65, s.whole()},
	} {
		if _, err := read("a" + sentences[c.kind] + "\n" + c.line + "\n" + labelNonce + "1"); !errors.Is(err, ErrInvalidMessage) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
