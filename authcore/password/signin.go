package password

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Try is an attempt to sign in, or to step up.
type Try struct {
	Email    string // as it was typed; StepUp does not look at it
	Password string
	Device   string // the device token that the browser showed; may be empty
	By       authcore.Trace
}

// Proof is a password that was right.
type Proof struct {
	UserID string
	Device string // the device token for this browser: the one that it showed, where that is good, else a new one
}

// nobodys is looked for in place of what is no address. It is none either, so nobody is found.
const nobodys = "@"

// SignIn answers whose address and password these are; where it refuses, whose address it is, which is to be told nobody but
// that user and the operator. Whoever is suspended, unknown or not confirmed yet, has no
// password or gave a wrong one gets ErrInvalidCredentials, after the same work. Its other errors are ErrBusy, which
// counts as no try, and authcore.ErrUnavailable.
func (p *Passwords) SignIn(ctx context.Context, t Try) (Proof, error) {
	email, err := ParseEmail(t.Email)
	unknown := email
	if err != nil {
		email, unknown = nobodys, t.Email
	}
	a, err := p.accountByEmail(ctx, email)
	if err != nil {
		return Proof{}, err
	}
	token, err := p.try(ctx, a, unknown, t)
	if err != nil {
		return Proof{UserID: a.user.ID}, err
	}
	return Proof{UserID: a.user.ID, Device: token}, nil
}

// StepUp says whether the password is the one of a user who is signed in. It counts, and refuses, as SignIn does.
func (p *Passwords) StepUp(ctx context.Context, userID string, t Try) error {
	a, err := p.accountByID(ctx, userID)
	if err != nil {
		return err
	}
	_, err = p.try(ctx, a, userID, t)
	return err
}

// try counts a try and judges it. It answers the device token for the browser.
func (p *Passwords) try(ctx context.Context, a account, unknown string, t Try) (string, error) {
	keys := []string{unknownKey(unknown)}
	nonce, knownDevice := a.record.deviceNonce(a.user.ID, t.Device)
	if a.user.ID != "" {
		keys[0] = accountKey(a.user.ID)
	}
	// The threat: a stranger who guesses, for nothing but to shut out the owner. A browser that proved the password once
	// has a count of its own.
	if knownDevice {
		keys = append(keys, a.record.deviceKey(a.user.ID, nonce))
	}
	c, err := p.compare(ctx, a, keys[len(keys)-1], t.Password)
	last := p.lockout().Tries
	switch {
	case err != nil:
		return "", err
	// A suspended try is worth nothing, even where it is right: else guessing would go on.
	case c.tries.Count > last:
		return "", fmt.Errorf("password: %w", ErrSuspended)
	case !c.ok && c.tries.Count == last:
		if err := p.tellSuspended(ctx, a, unknown, c.tries.Reset, t.By); err != nil {
			return "", err
		}
		return "", fmt.Errorf("password: %w", ErrSuspended)
	case !c.ok:
		return "", fmt.Errorf("password: %w", ErrInvalidCredentials)
	}
	if err := p.noteUse(ctx, a, c.renewed); err != nil {
		return "", err
	}
	for _, key := range keys {
		if err := p.Attempts.ClearAttempts(ctx, key); err != nil {
			return "", authcore.StoreError("password: clear attempts", err)
		}
	}
	if knownDevice {
		return t.Device, nil
	}
	return p.newDevice(a.user.ID, a.record)
}

// compared is what a try came to.
type compared struct {
	ok      bool
	renewed string // the hash to store in place of an outdated one; empty where there is no need
	tries   authcore.Attempts
}

// compare counts a try and hashes its password, in this order, so that of many tries at once not one more than the
// lockout allows is judged; and both in its turn, so that a flood which fills the queue suspends nobody. It hashes once,
// whoever it is.
func (p *Passwords) compare(ctx context.Context, a account, key, password string) (compared, error) {
	leave, err := p.Hasher.enter(ctx)
	if err != nil {
		return compared{}, err
	}
	defer leave()
	tries, err := p.Attempts.CountLockout(ctx, key, p.lockout(), p.now())
	if err != nil {
		return compared{}, authcore.StoreError("password: count the attempt", err)
	}
	phc := a.record.PHC
	if !a.hasPassword() {
		phc = p.Hasher.decoy()
	}
	// What is too long is nobody's password, as nothing is; and not worth hashing as it is.
	if len(canonical(password)) > p.maxLength() {
		password = ""
	}
	ok, outdated, err := p.Hasher.verify(password, phc)
	if err != nil {
		// Nothing a user can do about; it is told apart from a wrong password so that the operator hears of it.
		return compared{}, authcore.StoreError("password: compare", err)
	}
	c := compared{ok: ok && a.hasPassword(), tries: tries}
	if c.ok && outdated && tries.Count <= p.lockout().Tries {
		c.renewed, err = p.Hasher.hash(password)
	}
	return c, err
}

// tellTimeout bounds what is done for the owner of an account when the client may be gone.
const tellTimeout = 5 * time.Second

// tellSuspended writes to the owner when a wrong try began a suspension, within the limit of mails: where suspensions are
// short, whoever goes on guessing would fill the mailbox. Where there is no owner, or no password that could be suspended,
// as much is counted and written for nobody.
func (p *Passwords) tellSuspended(ctx context.Context, a account, unknown string, until time.Time, by authcore.Trace) error {
	// The threat: whoever guesses hangs up with the last try, and the owner is never told.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	may, err := p.mayMail(ctx, "suspension", cmp.Or(a.user.Email, unknown))
	if err != nil {
		return err
	}
	m := authcore.Mail{Kind: authcore.MailDecoy}
	if may && a.hasPassword() && a.user.Email != "" {
		m = authcore.Mail{Kind: authcore.MailSuspended, To: a.user.Email, Name: a.user.Name, Until: until}
	}
	sealed, err := p.seal(ctx, m, by)
	if err != nil {
		return err
	}
	// Of what nobody has, or has no password, an event is written too, and says so: that is as much work.
	code, subject := "", a.user.ID
	if !a.hasPassword() {
		code, subject = "no_password", ""
	}
	e, err := p.event(authcore.EventSuspended, code, subject, by, "until "+until.UTC().Format(time.RFC3339))
	if err != nil {
		return err
	}
	return p.transact(ctx, "tell of a suspension", func(s authcore.Stores) error {
		if err := s.Outbox.AddMail(ctx, sealed); err != nil {
			return err
		}
		return s.Events.AddEvent(ctx, e)
	})
}

// noteUse notes that a password was right just now, with its new hash where there is one. It refuses where the password
// was changed or removed since it was read: who resets it wants the old one to be worth nothing at once.
func (p *Passwords) noteUse(ctx context.Context, a account, renewed string) error {
	c, r := a.credential, a.record
	if renewed != "" {
		r.PHC = renewed
		data, err := r.encode()
		if err != nil {
			return err
		}
		c.Data = data
	}
	c.LastUsed = p.now()
	err := p.Stores.Credentials.UpdateCredential(ctx, c)
	if errors.Is(err, authcore.ErrConflict) {
		// Another sign-in has just noted the same, or the password is another one now. What is not noted is noted next time.
		var now account
		if now, err = p.withPassword(ctx, a.user, nil); err != nil {
			return err
		}
		if bytes.Equal(now.record.DeviceSalt, r.DeviceSalt) {
			return nil
		}
		err = authcore.ErrCredentialNotFound
	}
	switch {
	case errors.Is(err, authcore.ErrCredentialNotFound):
		return fmt.Errorf("password: changed at this moment: %w", ErrInvalidCredentials)
	case err != nil:
		return authcore.StoreError("password: note the use", err)
	}
	return nil
}

// accountKey is what tries without a device token are counted under: the account, so that all spellings of its address
// have one count.
func accountKey(userID string) string { return "password " + userID }

// deviceKey is what tries of one browser are counted under.
func (r record) deviceKey(userID, nonce string) string {
	key := accountKey(userID) + " " + nonce
	if r.Lifts > 0 {
		key += " " + strconv.Itoa(r.Lifts)
	}
	return key
}

// unknownKey is what tries are counted under where there is no account. It is hashed, so that all are of one length and
// what people type in error is stored nowhere.
func unknownKey(typed string) string { return "password-unknown " + hashed(typed) }

func hashed(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}
