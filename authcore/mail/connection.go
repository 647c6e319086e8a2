package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// Sender connects to what takes mails.
type Sender interface {
	// Connect opens a connection and introduces itself as helo, a domain. Its error is a *Failure. It ends when ctx does,
	// but the connection does not.
	Connect(ctx context.Context, helo string) (Connection, error)
}

// Connection takes mails, one after the other.
type Connection interface {
	// Send answers nil where the server has taken the mail, else a *Failure. When ctx ends, so does the connection.
	Send(ctx context.Context, m Message) error
	// Alive reports whether more can be sent.
	Alive() bool
	// Close ends the connection.
	Close() error
}

// maxAnswers bounds what a server may send over one connection, in bytes, so that it cannot fill our memory.
const maxAnswers = 1 << 20

// quitTimeout is how long a server is given to say good-bye.
const quitTimeout = 5 * time.Second

// connection speaks SMTP (RFC 5321).
type connection struct {
	raw           net.Conn
	client        *smtp.Client
	command, data time.Duration
	dead          bool
}

// step lets f talk to the server for at most d in all, however slowly each byte of an answer comes.
func (c *connection) step(d time.Duration, f func() error) error {
	if err := c.raw.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	return f()
}

// Send implements Connection.
func (c *connection) Send(ctx context.Context, m Message) error {
	// An address that needs quoting could end its brackets early and add parameters, or another address.
	if !envelopable(m.From) || !envelopable(m.To) {
		return fmt.Errorf("mail: envelope: %w", ErrInvalid)
	}
	if c.dead {
		return &Failure{Class: ClassLost, Step: "mail", Err: net.ErrClosed}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	defer func() {
		if !stop() {
			c.dead = true
		}
	}()
	err := c.transact(m)
	if err == nil {
		return nil
	}
	if !c.dead && c.step(c.command, c.client.Reset) != nil {
		c.dead = true
	}
	return err
}

func (c *connection) transact(m Message) error {
	if err := c.step(c.command, func() error { return c.client.Mail("<" + m.From + ">") }); err != nil {
		return c.failed("mail", ClassFrom, err)
	}
	if err := c.step(c.command, func() error { return c.client.Rcpt("<" + m.To + ">") }); err != nil {
		return c.failed("rcpt", ClassRefused, err)
	}
	var body io.WriteCloser
	err := c.step(c.command, func() (err error) {
		body, err = c.client.Data()
		return err
	})
	if err != nil {
		return c.failed("data", ClassRefused, err)
	}
	return c.step(c.data, func() error {
		if _, err := body.Write(m.Data); err != nil {
			c.dead = true // the mail is not ended: half of one must not be taken for a whole
			return &Failure{Class: ClassLost, Step: "body", Err: err}
		}
		if err := body.Close(); err != nil {
			return c.failed("end of data", ClassRefused, err)
		}
		return nil
	})
}

// failed tells what became of a step within a mail: refused is what 5yz means there.
func (c *connection) failed(step string, refused Class, err error) *Failure {
	f := failed(step, refused, err)
	switch {
	case f.Code == 421 || f.Code < 400: // closing (RFC 5321 section 3.8), no answer, or one that makes no sense
		f.Class, c.dead = ClassLost, true
	case f.Code < 500:
		f.Class = ClassTemporary
	}
	return f
}

// Alive implements Connection.
func (c *connection) Alive() bool { return !c.dead }

// Close implements Connection.
func (c *connection) Close() error {
	if !c.dead {
		_ = c.step(min(c.command, quitTimeout), c.client.Quit) // what was taken was taken, whatever it answers
	}
	c.dead = true
	if err := c.raw.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("mail: smtp: %w", err)
	}
	return nil
}

// bounded is a connection from which only so much can be read.
type bounded struct {
	net.Conn
	left int
}

var errTooMuch = errors.New("the server says too much")

// Read implements net.Conn.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.Conn.Read(p)
	b.left -= n
	return n, err
}
