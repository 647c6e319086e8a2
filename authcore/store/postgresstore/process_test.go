//go:build unix

package postgresstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// childEnv names, in a copy of the test program started by a test, what to do instead of testing.
const childEnv = "POSTGRESSTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	job, dsn, _ := strings.Cut(os.Getenv(childEnv), " ")
	if job == "" {
		os.Exit(m.Run())
	}
	if err := instance(job, dsn); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func instance(job, dsn string) error {
	ctx := context.Background()
	s, err := postgresstore.Open(ctx, postgresstore.Config{DSN: dsn})
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println("open")
	if _, err := fmt.Scanln(new(string)); err != nil {
		return err
	}
	return map[string]func(context.Context, *postgresstore.Store) error{"race": race, "write": writeForever}[job](ctx, s)
}

// child starts an instance and answers it when it is open; go ahead it does when told.
func child(t *testing.T, job, dsn string) (*exec.Cmd, *bufio.Scanner, func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+job+" "+dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("it is not open: %q", lines.Text())
	}
	return cmd, lines, func() {
		if _, err := io.WriteString(in, "go\n"); err != nil {
			t.Error(err)
		}
	}
}

const racedFor = 100

var lockout = authcore.Lockout{Tries: 5, Suspend: time.Hour, Forget: time.Hour}

// race takes whatever it can get, and says what it got.
func race(ctx context.Context, s *postgresstore.Store) error {
	accounts, short := s.Stores(), s.ChallengeStores()
	for i := range racedFor {
		name := fmt.Sprint(i)
		_, err := short.Challenges.ConsumeChallenge(ctx, challengeID(name), binding, noon.Add(-time.Second))
		if err == nil {
			fmt.Println("challenge", i)
		} else if !errors.Is(err, authcore.ErrChallengeNotFound) {
			return err
		}
		_, err = accounts.Confirmations.ConsumeConfirmation(ctx, authcore.ConfirmReset, authcore.HashSecret(name), noon.Add(-time.Second))
		if err == nil {
			fmt.Println("confirmation", i)
		} else if !errors.Is(err, authcore.ErrConfirmationNotFound) {
			return err
		}
		mails, err := accounts.Outbox.ClaimMails(ctx, 1, noon, noon.Add(time.Hour))
		if err != nil {
			return err
		}
		for _, m := range mails {
			fmt.Println("mail", m.ID)
		}
		tries, err := short.Attempts.CountLockout(ctx, "key", lockout, noon)
		if err != nil {
			return err
		} else if tries.Count <= lockout.Tries {
			fmt.Println("guess", tries.Count)
		}
		err = accounts.Transactions.Transact(ctx, func(s authcore.Stores) error {
			u, err := s.Users.User(ctx, "alice")
			if err != nil {
				return err
			}
			u.Name += "."
			return s.Users.UpdateUser(ctx, u)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// The same answer, link or guess is sent to several instances at once: it counts on one of them.
func TestProcessesRace(t *testing.T) {
	dsn := servers.Postgres(t)
	s, ctx := open(t, postgresstore.Config{DSN: dsn}), t.Context()
	accounts, short := s.Stores(), s.ChallengeStores()
	for i := range racedFor {
		name := fmt.Sprint(i)
		for _, err := range []error{
			short.Challenges.CreateChallenge(ctx, authcore.Challenge{ID: challengeID(name), Binding: binding, Expires: noon}, noon),
			accounts.Confirmations.ReplaceConfirmation(ctx, authcore.Confirmation{
				KeyHash: authcore.HashSecret(name), Purpose: authcore.ConfirmReset, Subject: name, Expires: noon,
			}),
			accounts.Outbox.AddMail(ctx, authcore.SealedMail{ID: name, Sealed: []byte{1}, Created: noon, Due: noon}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := addUser(ctx, accounts, "alice"); err != nil {
		t.Fatal(err)
	}
	const processes = 2
	var cmds []*exec.Cmd
	var outs []*bufio.Scanner
	var start []func()
	for range processes {
		cmd, out, begin := child(t, "race", dsn)
		cmds, outs, start = append(cmds, cmd), append(outs, out), append(start, begin)
	}
	for _, begin := range start {
		begin()
	}
	got := map[string]int{}
	for i, cmd := range cmds {
		for outs[i].Scan() {
			got[outs[i].Text()]++
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range racedFor {
		for _, what := range []string{"challenge", "confirmation", "mail"} {
			if n := got[fmt.Sprint(what, " ", i)]; n != 1 {
				t.Errorf("%s %d counted %d times", what, i, n)
			}
		}
	}
	for i := range lockout.Tries {
		if n := got[fmt.Sprint("guess ", i+1)]; n != 1 {
			t.Errorf("%d guesses are number %d", n, i+1)
		}
	}
	if u, err := accounts.Users.User(ctx, "alice"); err != nil || len(u.Name) != processes*racedFor {
		t.Errorf("%d changes of %d, %v", len(u.Name), processes*racedFor, err)
	}
}

// writeForever does one transaction after the other and says so once it is acknowledged.
func writeForever(ctx context.Context, s *postgresstore.Store) error {
	for i := 0; ; i++ {
		name := fmt.Sprint("u", i)
		err := s.Stores().Transactions.Transact(ctx, func(s authcore.Stores) error {
			if err := addUser(ctx, s, name); err != nil {
				return err
			}
			if err := s.Notices.Notify(ctx, authcore.Notice{Kind: authcore.NoticeUserChanged, Subject: name}); err != nil {
				return err
			}
			return s.Outbox.AddMail(ctx, authcore.SealedMail{ID: name, Sealed: []byte{1}, Created: noon, Due: noon})
		})
		if err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// An instance is killed in the midst of a transaction: what it acknowledged is there, and of the last one all or nothing.
func TestKilledInstance(t *testing.T) {
	dsn := servers.Postgres(t)
	s := open(t, postgresstore.Config{DSN: dsn})
	cmd, out, begin := child(t, "write", dsn)
	begin()
	last := -1
	for out.Scan() {
		if _, err := fmt.Sscan(out.Text(), &last); err != nil {
			t.Fatal(err)
		}
		if last == 40 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	mails, err := s.Stores().Outbox.ClaimMails(t.Context(), 10_000, noon, noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(mails) <= last {
		t.Errorf("%d mails of %d acknowledged", len(mails), last+1)
	}
	for _, m := range mails {
		if _, err := s.Stores().Users.User(t.Context(), m.ID); err != nil {
			t.Errorf("a mail without a user: %v", err)
		}
	}
	_, err = s.Stores().Users.User(t.Context(), fmt.Sprint("u", len(mails)))
	if !errors.Is(err, authcore.ErrUserNotFound) {
		t.Errorf("a user without a mail: %v", err)
	}
}
