package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
)

// childEnv names, in a copy of the test program started by a test, what to do instead of testing.
const childEnv = "SQLITESTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	job, path, _ := strings.Cut(os.Getenv(childEnv), " ")
	if job == "" {
		os.Exit(m.Run())
	}
	if err := map[string]func(string) error{"write": writeForever, "race": raceForAll}[job](path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, job, path string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+job+" "+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

var (
	noon    = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	binding = authcore.Binding{Purpose: authcore.PurposeWalletSignIn, Origin: "https://app.example.com"}
)

func challengeID(i int) [32]byte { return authcore.HashSecret(fmt.Sprint(i)) }

// writeForever does one change of every kind after the other and says so once it is acknowledged.
func writeForever(path string) error {
	ctx := context.Background()
	s, err := sqlitestore.Open(ctx, path)
	if err != nil {
		return err
	}
	accounts, short := s.Stores(), s.ChallengeStores()
	for i := 0; ; i++ {
		name := fmt.Sprint("u", i)
		for _, change := range []struct {
			name string
			do   func() error
		}{
			{"created", func() error { return createUser(ctx, accounts.Users, name) }},
			{"opened", func() error {
				return accounts.Sessions.CreateSession(ctx, authcore.Session{ID: name, UserID: name, IdleUntil: noon, Until: noon})
			}},
			{"asked", func() error {
				return short.Challenges.CreateChallenge(ctx, authcore.Challenge{ID: challengeID(i), Binding: binding, Expires: noon}, noon)
			}},
			{"counted", func() error { _, err := short.Attempts.CountAttempt(ctx, "key", time.Hour, noon); return err }},
			{"answered", func() error {
				_, err := short.Challenges.ConsumeChallenge(ctx, challengeID(i), binding, noon.Add(-time.Second))
				return err
			}},
			{"ended", func() error { return accounts.Sessions.EndSession(ctx, name) }},
			{"mailed", func() error { return mailed(ctx, accounts, i) }},
		} {
			if err := change.do(); err != nil {
				return fmt.Errorf("%s: %w", change.name, err)
			}
			fmt.Println(change.name, i)
		}
	}
}

// mailed renames a user, writes a mail about it and tells everybody, or nothing of all that.
func mailed(ctx context.Context, accounts authcore.Stores, i int) error {
	return accounts.Transactions.Transact(ctx, func(s authcore.Stores) error {
		u, err := s.Users.User(ctx, fmt.Sprint("u", i))
		if err != nil {
			return err
		}
		u.Name = "told"
		if err := s.Users.UpdateUser(ctx, u); err != nil {
			return err
		}
		if err := s.Notices.Notify(ctx, authcore.Notice{Kind: authcore.NoticeUserChanged, Subject: u.ID}); err != nil {
			return err
		}
		return s.Outbox.AddMail(ctx, authcore.SealedMail{ID: u.ID, Sealed: []byte{1}, Created: noon, Due: noon})
	})
}

// Whatever was acknowledged is there after kill -9: nobody is registered in vain, and no spent challenge and no ended
// session comes back.
func TestKilledItKeepsWhatItAcknowledged(t *testing.T) {
	for round := range 3 {
		path := filepath.Join(t.TempDir(), "test.db")
		last := map[string]int{"created": -1, "opened": -1, "asked": -1, "counted": -1, "answered": -1, "ended": -1, "mailed": -1}
		cmd, out := child(t, "write", path)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var what string
			var i int
			if _, err := fmt.Sscan(lines.Text(), &what, &i); err != nil {
				t.Fatal(err)
			}
			last[what] = i
			if n == 100+5*round {
				// It goes on while it is killed; what it said until then is read to the end.
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed
		check(t, path, last)
	}
}

func check(t *testing.T, path string, last map[string]int) {
	t.Helper()
	ctx := t.Context()
	s := open(t, path)
	accounts, short := s.Stores(), s.ChallengeStores()
	for i := range last["created"] + 1 {
		if _, err := accounts.Users.UserByUsername(ctx, fmt.Sprint("u", i)); err != nil {
			t.Errorf("user %d: %v", i, err)
		}
	}
	for i := range last["opened"] + 1 {
		_, err := accounts.Sessions.Session(ctx, fmt.Sprint("u", i))
		switch {
		case i <= last["ended"] && !errors.Is(err, authcore.ErrSessionNotFound):
			t.Errorf("session %d came back: %v", i, err)
		case i > last["ended"]+1 && err != nil:
			t.Errorf("session %d: %v", i, err)
		}
	}
	for i := range last["asked"] + 1 {
		_, err := short.Challenges.ConsumeChallenge(ctx, challengeID(i), binding, noon.Add(-time.Second))
		switch {
		case i <= last["answered"] && !errors.Is(err, authcore.ErrChallengeNotFound):
			t.Errorf("challenge %d came back: %v", i, err)
		case i > last["answered"]+1 && err != nil:
			t.Errorf("challenge %d: %v", i, err)
		}
	}
	checkMailed(t, accounts, last)
	got, err := short.Attempts.CountAttempt(ctx, "key", time.Hour, noon)
	if err != nil || got.Count < last["counted"]+2 {
		t.Errorf("attempts: %v, %v; want at least %d", got, err, last["counted"]+2)
	}
}

// checkMailed demands what was acknowledged of the transactions, and of the last one all or nothing.
func checkMailed(t *testing.T, accounts authcore.Stores, last map[string]int) {
	t.Helper()
	ctx := t.Context()
	waiting, err := accounts.Outbox.ClaimMails(ctx, 10_000, noon, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	mails := map[string]bool{}
	for _, m := range waiting {
		mails[m.ID] = true
	}
	for i := range last["created"] + 1 {
		u, err := accounts.Users.User(ctx, fmt.Sprint("u", i))
		if err != nil {
			t.Fatal(err)
		}
		if told := u.Name == "told"; told != mails[u.ID] || !told && i <= last["mailed"] {
			t.Errorf("user %d: renamed %v, mailed %v, the last acknowledged is %d", i, told, mails[u.ID], last["mailed"])
		}
	}
}

const racedFor = 150

// raceForAll consumes whatever it can get of the challenges and says what it got.
func raceForAll(path string) error {
	ctx := context.Background()
	s, err := sqlitestore.Open(ctx, path)
	if err != nil {
		return err
	}
	defer s.Close()
	for i := range racedFor {
		switch _, err := s.ChallengeStores().Challenges.ConsumeChallenge(ctx, challengeID(i), binding, noon.Add(-time.Second)); {
		case err == nil:
			fmt.Println(i)
		case !errors.Is(err, authcore.ErrChallengeNotFound):
			return err
		}
	}
	return nil
}

// The same answer is sent to several instances at once: it counts on one of them.
func TestProcessesRaceForChallenges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := open(t, path)
	for i := range racedFor {
		c := authcore.Challenge{ID: challengeID(i), Binding: binding, Expires: noon}
		if err := s.ChallengeStores().Challenges.CreateChallenge(t.Context(), c, noon); err != nil {
			t.Fatal(err)
		}
	}
	const processes = 3
	var cmds []*exec.Cmd
	var outs []io.Reader
	for range processes {
		cmd, out := child(t, "race", path)
		cmds, outs = append(cmds, cmd), append(outs, out)
	}
	got := map[string]int{}
	for i, cmd := range cmds {
		for lines := bufio.NewScanner(outs[i]); lines.Scan(); {
			got[lines.Text()]++
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range racedFor {
		if n := got[fmt.Sprint(i)]; n != 1 {
			t.Errorf("challenge %d counted %d times", i, n)
		}
	}
}
