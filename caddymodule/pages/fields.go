package pages

import "strconv"

// secret is a field for a password.
type secret struct {
	ID, Label, Show string
	Autocomplete    string // which password it is for, to password managers
	Rule            string // what a new password must be like; empty for others
	Least           int    // characters of a new password
	Hidden          bool   // until a script shows it
}

// EmailFill is what browsers fill the field for an address with: that of an account which is there, or one of the user's.
func (v *view) EmailFill() string {
	switch {
	case v.Registers():
		return "email"
	case v.Compact() && v.Offers("passkey"):
		return "username webauthn"
	}
	return "username"
}

// CurrentPassword is the field for the password of an account.
func (v *view) CurrentPassword() (secret, error) {
	return v.secret("password", "passwordField", "current-password")
}

// ActivationPassword is the field that is needed where an account is activated in another browser: for the password that
// was chosen there, or another one.
func (v *view) ActivationPassword() (secret, error) {
	s, err := v.chosen("password", "passwordField", "current-password")
	s.Hidden = true
	return s, err
}

// NewPassword is the field for a password that is chosen. The rule for it is told beforehand.
func (v *view) NewPassword() (secret, error) {
	label := "newPasswordField"
	if v.Registers() && v.Name != "recover" {
		label = "passwordField"
	}
	return v.chosen("new-password", label, "new-password")
}

func (v *view) chosen(id, label, autocomplete string) (secret, error) {
	s, err := v.secret(id, label, autocomplete)
	if err == nil {
		s.Least = v.MinLength
		s.Rule, err = v.Say("passwordRule", "n", strconv.Itoa(v.MinLength))
	}
	return s, err
}

func (v *view) secret(id, label, autocomplete string) (s secret, err error) {
	s.ID, s.Autocomplete = id, autocomplete
	if s.Label, err = v.Say(label); err == nil {
		s.Show, err = v.Say("showPassword")
	}
	return s, err
}

// save is the buttons of a form that is there for one change.
type save struct{ Do, Cancel string }

// Save answers the buttons of such a form, by the text of the first.
func (v *view) Save(do string) (s save, err error) {
	if s.Do, err = v.Say(do); err == nil {
		s.Cancel, err = v.Say("cancel")
	}
	return s, err
}
