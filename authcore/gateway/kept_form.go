package gateway

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// A form that was sent is kept while its user confirms, so that nothing typed is lost. What is stored is sealed: the key is
// in a cookie of the browser that sent it, and nowhere else. The id of a form says, by a code that takes the same key, for
// which session and target it was kept, so that whatever is not this browser's, this session's or for this place is known
// before the store is asked, and spends nothing.

const (
	maxForm  = 64 << 10
	formLife = 10 * time.Minute
	// What a browser sends in place of the form once its user has confirmed is this field with the id, to the byte.
	formField  = "authgate_form="
	formRandom = 26 // bytes of an id
	formCode   = 16 // bytes of it, after those
	formID     = (formRandom + formCode) / 3 * 4
	formSize   = int64(len(formField) + formID)

	// What is kept in all by one instance, and for one user, lets sign-ins have their room in the store.
	maxFormBytes = 16 << 20
	maxUserForms = 16
	maxFormHead  = 8 << 10  // bytes of headers that are kept with a form
	maxDrained   = 16 << 20 // bytes of a body that is not kept, read so that the browser comes to read the answer
)

// formHeaders are the headers that are part of what a browser sends by a form: those about the body, and those by which a
// backend tells from where it comes. The page to confirm on is of this origin; a form that was not must not pass for one
// that was (cross-site request forgery).
var formHeaders = []string{
	"Content-Type", "Content-Encoding", "Content-Language", "Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-User",
}

var (
	errFormGone = &Error{Status: http.StatusGone, Code: "form_gone", Detail: "What was sent is not kept, or no longer, or was passed on already."}

	errTooManyForms = errors.New("gateway: form: too much is kept")
)

// formKey is what a browser holds to have its forms opened.
type formKey [32]byte

// newFormKey answers the key of a browser from the value of its cookie, or a new one where that has none.
func newFormKey(cookie string, random io.Reader) (formKey, error) {
	k, ok := parseFormKey(cookie)
	if ok {
		return k, nil
	}
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return k, fmt.Errorf("gateway: form: random bytes: %w", err)
	}
	return k, nil
}

func parseFormKey(cookie string) (k formKey, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cookie)
	if err != nil || len(b) != len(k) || formKey(b).String() != cookie { // decoders pass over line breaks
		return formKey{}, false
	}
	return formKey(b), true
}

func (k formKey) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// derived answers a key for one use.
func (k formKey) derived(salt []byte, use string) ([]byte, error) {
	return hkdf.Key(sha256.New, k[:], salt, use, 32)
}

// place is what a form is kept for.
type place struct {
	origin  string
	session string
	target  string // as safeReturn answers it
}

// code answers the part of an id that says for what its form is kept.
func (k formKey) code(random []byte, at place) ([]byte, error) {
	key, err := k.derived(nil, "authgate form id")
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(random)
	for _, part := range []string{at.origin, at.session, at.target} {
		mac.Write(binary.AppendUvarint(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)[:formCode], nil
}

// newID answers the id of a new form, and its random part.
func (k formKey) newID(random io.Reader, at place) (id string, salt []byte, err error) {
	salt = make([]byte, formRandom)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", nil, fmt.Errorf("gateway: form: random bytes: %w", err)
	}
	code, err := k.code(salt, at)
	if err != nil {
		return "", nil, err
	}
	return base64.RawURLEncoding.EncodeToString(append(bytes.Clone(salt), code...)), salt, nil
}

// isFormID reports whether this could be the id of a form, so that it may stand in an address as it is.
func isFormID(s string) bool {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(b) == formRandom+formCode && len(s) == formID // decoders pass over line breaks
}

// opens answers the random part of an id where it is of a form of this browser that is kept for this place.
func (k formKey) opens(id string, at place) (salt []byte, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(b) != formRandom+formCode || len(id) != formID { // decoders pass over line breaks
		return nil, false
	}
	code, err := k.code(b[:formRandom], at)
	return b[:formRandom], err == nil && hmac.Equal(code, b[formRandom:])
}

// cipher answers what seals one form. Its key is used once, so that the nonce may be the same at each.
func (k formKey) cipher(salt []byte) (cipher.AEAD, error) {
	key, err := k.derived(salt, "authgate form")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (k formKey) seal(salt, plain []byte) ([]byte, error) {
	aead, err := k.cipher(salt)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, make([]byte, aead.NonceSize()), plain, nil), nil
}

func (k formKey) open(salt, sealed []byte) ([]byte, error) {
	aead, err := k.cipher(salt)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, make([]byte, aead.NonceSize()), sealed, nil)
}

// keepForm stores what a browser has sent and answers under which id, and the Set-Cookie value by which the browser keeps
// the key. Whatever its errors are, the form is not kept.
func (g *Gateway) keepForm(w http.ResponseWriter, r *http.Request, v *visitor, cookie string) (id, setCookie string, err error) {
	if isForwarded(r) {
		return "", "", errors.New("gateway: form: another proxy has it")
	}
	if !g.origin.isHost(r.Host) {
		return "", "", errors.New("gateway: form: of another host than that of the origin, where it is confirmed")
	}
	target := g.realm.RequestURI(r)
	at := place{g.origin.text, v.identity.SessionID, g.safeReturn(target)}
	if at.target == "/" && target != "/" {
		return "", "", fmt.Errorf("gateway: form: nobody can be sent back to its target: %w", errTooLarge)
	}
	body, err := readBody(w, r)
	if err != nil {
		if errors.Is(err, errTooLarge) {
			drain(w, r)
		}
		return "", "", err
	}
	plain, err := encodeForm(r.Header, body)
	if err != nil {
		return "", "", err
	}
	random := cmp.Or(g.realm.Rand, rand.Reader)
	key, err := newFormKey(cookie, random)
	if err != nil {
		return "", "", err
	}
	id, salt, err := key.newID(random, at)
	if err != nil {
		return "", "", err
	}
	sealed, err := key.seal(salt, plain)
	if err != nil {
		return "", "", err
	}
	now, subject := g.realm.Now(), v.identity.Subject
	until := now.Add(formLife)
	if !g.realm.State.forms.add(subject, len(sealed), now, until) {
		return "", "", errTooManyForms
	}
	ctx, cancel := context.WithTimeout(r.Context(), renewTimeout)
	defer cancel()
	err = g.realm.Challenges.Challenges.CreateChallenge(ctx, authcore.Challenge{
		ID: authcore.HashSecret(id), Binding: g.formBinding(subject), Client: "form of " + subject, Data: sealed, Expires: until,
	}, now)
	if err != nil {
		g.realm.State.forms.drop(subject, len(sealed), until)
		return "", "", err
	}
	return id, g.cookie.setForm(key.String()), nil
}

func (g *Gateway) formBinding(subject string) authcore.Binding {
	return authcore.Binding{Purpose: authcore.PurposeKeptForm, Origin: g.origin.text, Subject: subject}
}

// drain reads what is left of a body that is not kept, up to a bound: a browser that is answered while it sends may show
// a broken connection in place of the answer.
func drain(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime))
	_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
	_ = rc.SetReadDeadline(time.Time{})
}

// encodeForm writes a form: the length of its headers, these as JSON, and the body as it is.
func encodeForm(h http.Header, body []byte) ([]byte, error) {
	kept := map[string][]string{}
	for _, name := range formHeaders {
		if lines := h[name]; lines != nil {
			kept[name] = lines
		}
	}
	head, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	if len(head) > maxFormHead {
		return nil, fmt.Errorf("gateway: form: headers of %d bytes: %w", len(head), errTooLarge)
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(head)+len(body)), uint32(len(head)))
	return append(append(b, head...), body...), nil
}

func decodeForm(b []byte) (kept map[string][]string, body []byte, err error) {
	if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
		return nil, nil, errors.New("gateway: form: what is stored is none")
	}
	head, body := b[4:4+binary.BigEndian.Uint32(b)], b[4+binary.BigEndian.Uint32(b):]
	return kept, body, json.Unmarshal(head, &kept)
}

// putBack puts a form that was kept into a request that a browser has sent in its place. It leaves every other request as
// it is, and is called for those only that are as long as one that takes the place of a form.
func (g *Gateway) putBack(w http.ResponseWriter, r *http.Request, v *visitor, cookie string) *refused {
	if r.Method != http.MethodPost || !isKind(r.Header["Content-Type"], "application/x-www-form-urlencoded") {
		return nil
	}
	sent := make([]byte, formSize)
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime))
	n, err := io.ReadFull(r.Body, sent)
	_ = rc.SetReadDeadline(time.Time{})
	id, is := strings.CutPrefix(string(sent[:n]), formField)
	if err != nil || !is {
		r.Body = rest{io.MultiReader(bytes.NewReader(sent[:n]), r.Body), r.Body}
		return nil
	}
	// Only the page to confirm on sends one. What another site makes a browser send is not for this user to answer for.
	if !namesSender(r) || g.checkSender(r) != nil {
		return &refused{errCrossSite, "forbidden"}
	}
	if v.err != nil {
		return unavailable(v.err)
	}
	key, ok := parseFormKey(cookie)
	if v.identity == nil || v.via != byCookie || !ok {
		return &refused{errFormGone, "forbidden"}
	}
	salt, ok := key.opens(id, place{g.origin.text, v.identity.SessionID, g.safeReturn(g.realm.RequestURI(r))})
	if !ok {
		return &refused{errFormGone, "forbidden"}
	}
	c, err := g.realm.Challenges.Challenges.ConsumeChallenge(r.Context(), authcore.HashSecret(id), g.formBinding(v.identity.Subject), g.realm.Now())
	switch {
	case errors.Is(err, authcore.ErrChallengeNotFound), errors.Is(err, authcore.ErrChallengeExpired):
		return &refused{errFormGone.because(err), "forbidden"}
	case err != nil:
		return unavailable(err)
	}
	plain, err := key.open(salt, c.Data)
	if err != nil {
		return &refused{errFormGone.because(fmt.Errorf("gateway: form: %w", err)), "forbidden"}
	}
	kept, body, err := decodeForm(plain)
	if err != nil {
		return &refused{errFormGone.because(err), "forbidden"}
	}
	for _, name := range formHeaders {
		delete(r.Header, name)
		if lines := kept[name]; lines != nil {
			r.Header[name] = lines
		}
	}
	r.Header["Content-Length"] = []string{strconv.Itoa(len(body))}
	r.Body, r.ContentLength = rest{bytes.NewReader(body), r.Body}, int64(len(body))
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	return nil
}

// rest is a body of which something else is read than came, or again.
type rest struct {
	io.Reader
	io.Closer
}

// keptForms counts what is kept, as long as it may be there.
type keptForms struct {
	mu    sync.Mutex
	all   []keptForm // the oldest first
	bytes int
	of    map[string]int // by subject
}

type keptForm struct {
	subject string
	size    int
	until   time.Time
}

// add reports whether one more may be kept, and counts it.
func (k *keptForms) add(subject string, size int, now, until time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.all) > 0 && !now.Before(k.all[0].until) {
		k.remove(0)
	}
	if k.bytes+size > maxFormBytes || k.of[subject] >= maxUserForms {
		return false
	}
	if k.of == nil {
		k.of = map[string]int{}
	}
	k.all = append(k.all, keptForm{subject, size, until})
	k.bytes, k.of[subject] = k.bytes+size, k.of[subject]+1
	return true
}

// drop forgets one that was counted and is not kept after all.
func (k *keptForms) drop(subject string, size int, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.Index(k.all, keptForm{subject, size, until}); i >= 0 {
		k.remove(i)
	}
}

func (k *keptForms) remove(i int) {
	f := k.all[i]
	k.all = slices.Delete(k.all, i, i+1)
	k.bytes -= f.size
	if k.of[f.subject]--; k.of[f.subject] == 0 {
		delete(k.of, f.subject)
	}
}
