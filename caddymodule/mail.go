package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore/mail"
)

// MailOptions configure how mail is sent. Placeholders such as {env.SMTP_PASSWORD} and {file./run/secrets/smtp} are
// replaced when the configuration is loaded; secrets are best written so, since they stay out of the configuration.
type MailOptions struct {
	// Whom mails are from, `Example <auth@example.com>`. Required.
	From string `json:"from,omitempty"`
	// The server that takes them. Required.
	SMTP SMTPOptions `json:"smtp,omitzero"`
	// A folder with templates that take the place of the built-in ones. Default: none.
	Templates string `json:"templates,omitempty"`
}

// SMTPOptions name a mail server.
type SMTPOptions struct {
	// Where it is, "mail.example.com:587".
	Address string `json:"address,omitempty"`
	// What to sign in with. Default: without.
	Username string `json:"username,omitempty"`
	// The password of that username; best as a placeholder.
	Password string `json:"password,omitempty"`
	// How the connection is protected: "starttls" (TLS after a plain beginning, or no mail), "implicit" (TLS from the
	// beginning) or "off". Default: implicit on port 465, else starttls.
	TLS string `json:"tls,omitempty"`
}

// sender is what the options say of the server.
func (o SMTPOptions) sender() *mail.SMTP {
	return &mail.SMTP{Addr: o.Address, TLS: mail.TLSMode(o.TLS), Username: o.Username, Password: o.Password}
}

// check reports what is wrong with the options as they are written. What a placeholder stands for is known only later.
func (o SMTPOptions) check() error {
	if strings.Contains(o.Address, "{") {
		o.Address = "localhost:587"
	}
	if strings.Contains(o.TLS, "{") {
		o.TLS = ""
	}
	return o.sender().Validate()
}

// checkSoFar is check while the password may still follow the username.
func (o SMTPOptions) checkSoFar() error {
	o.Username, o.Password = "", ""
	return o.check()
}

const writeFrom = `write for example: from "Example <auth@example.com>"`

// checkComplete reports what is missing.
func (o *MailOptions) checkComplete() error {
	switch {
	case o.From == "":
		return errors.New("mail: from is missing; " + writeFrom)
	case o.SMTP.Address == "":
		return errors.New("mail: smtp is missing; write for example: smtp mail.example.com:587")
	}
	return nil
}

// post is the means to send mail, as provisioned.
type post struct {
	from      string
	templates *mail.Templates
	sender    *mail.SMTP
}

// provision replaces the placeholders and reads the templates. It connects to nothing.
func (o MailOptions) provision() (*post, error) {
	if err := o.checkComplete(); err != nil {
		return nil, err
	}
	for _, field := range []struct {
		name string
		is   *string
	}{
		{"from", &o.From},
		{"templates", &o.Templates},
		{"smtp", &o.SMTP.Address},
		{"smtp username", &o.SMTP.Username},
		{"smtp password", &o.SMTP.Password},
		{"smtp tls", &o.SMTP.TLS},
	} {
		var err error
		if *field.is, err = expand(*field.is); err != nil {
			return nil, fmt.Errorf("mail: %s: %w", field.name, err)
		}
	}
	templates, err := templates(o.Templates)
	return &post{o.From, templates, o.SMTP.sender()}, err
}

func templates(folder string) (*mail.Templates, error) {
	if folder == "" {
		return mail.DefaultTemplates()
	}
	return mail.LoadTemplates(folder)
}

func (a *App) parseMail(d *caddyfile.Dispenser, _ []string) error {
	a.Mail = new(MailOptions)
	o := a.Mail
	return parseBlock(d, "mail", []option{
		textOption(`from "<name> <address>"`, &o.From).expanding().checked(func() error {
			if strings.Contains(o.From, "{") {
				return nil
			}
			if _, err := mail.ParseFrom(o.From); err != nil {
				return fmt.Errorf("%w; %s", err, writeFrom)
			}
			return nil
		}),
		option{usage: "smtp <host:port> { <options> }", min: 1, max: 1, block: true, parse: o.parseSMTP}.expanding().
			checked(func() error { return o.SMTP.check() }),
		textOption("templates <folder>", &o.Templates).expanding().checked(func() error {
			if strings.Contains(o.Templates, "{") {
				return nil
			}
			_, err := templates(o.Templates)
			return err
		}),
	})
}

func (o *MailOptions) parseSMTP(d *caddyfile.Dispenser, args []string) error {
	s := &o.SMTP
	s.Address = args[0]
	if err := s.checkSoFar(); err != nil {
		return d.WrapErr(err)
	}
	return parseBlock(d, "smtp", []option{
		textOption("username <name>", &s.Username).expanding(),
		textOption("password <password>", &s.Password).expanding(),
		textOption("tls starttls | implicit | off", &s.TLS).expanding().checked(func() error { return s.checkSoFar() }),
	})
}
