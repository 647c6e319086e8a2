//go:build unix

package redisstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

const raced = 400

// TestRacer is the other process: it answers the challenges that all answer, counts the tries that all count, and prints
// what came of it.
func TestRacer(t *testing.T) {
	url := os.Getenv("REDISSTORE_RACE")
	if url == "" {
		return
	}
	s := open(t, Config{URLs: []string{url}, Prefix: "race:"})
	for began := time.Now(); ; time.Sleep(time.Millisecond) { // all start together
		start, err := s.Attempts(t.Context(), "start", noon)
		if err != nil || time.Since(began) > 30*time.Second {
			t.Fatal("nobody gave the start", err)
		}
		if start.Count > 0 {
			break
		}
	}
	var mu sync.Mutex
	var done sync.WaitGroup
	for worker := range 4 {
		done.Go(func() {
			for i := worker; i < raced; i += 4 {
				_, err := s.ConsumeChallenge(t.Context(), authcore.HashSecret(fmt.Sprint(i)), binding, noon)
				count, err2 := s.CountAttempt(t.Context(), "tries", time.Hour, noon)
				guess, err3 := s.CountLockout(t.Context(), "guesses", authcore.Lockout{Tries: 50, Suspend: time.Hour, Forget: time.Hour}, noon)
				mu.Lock()
				switch {
				case err == nil:
					fmt.Println("won", i)
				case !errors.Is(err, authcore.ErrChallengeNotFound):
					fmt.Println("error", err)
				}
				fmt.Println("counted", count.Count, err2)
				fmt.Println("guessed", guess.Count, err3)
				mu.Unlock()
			}
		})
	}
	done.Wait()
}

// Several instances, each a process of its own, get the same answers at the same moment: each challenge counts once, each
// try is counted, and no more guesses are let through than there may be.
func TestProcessesRace(t *testing.T) {
	const processes = 3
	server := servers.Redis(t)
	s := open(t, Config{URLs: []string{server.URL()}, Prefix: "race:"})
	for i := range raced {
		create(t, s, fmt.Sprint(i))
	}
	var outputs [processes]bytes.Buffer
	var commands [processes]*exec.Cmd
	for i := range processes {
		commands[i] = exec.Command(os.Args[0], "-test.run", "^TestRacer$", "-test.v")
		commands[i].Env = append(os.Environ(), "REDISSTORE_RACE="+server.URL())
		commands[i].Stdout, commands[i].Stderr = &outputs[i], &outputs[i]
		if err := commands[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(300 * time.Millisecond)
	if _, err := s.CountAttempt(t.Context(), "start", time.Hour, noon); err != nil {
		t.Fatal(err)
	}
	var won, counted, guessed []string
	winners := 0
	for i := range processes {
		if err := commands[i].Wait(); err != nil {
			t.Fatalf("%v\n%s", err, &outputs[i])
		}
		before := len(won)
		for line := range strings.Lines(outputs[i].String()) {
			line = strings.TrimSpace(line)
			switch what, _, _ := strings.Cut(line, " "); what {
			case "won":
				won = append(won, line)
			case "counted":
				counted = append(counted, line)
			case "guessed":
				guessed = append(guessed, line)
			case "error":
				t.Error(line)
			}
		}
		if len(won) > before {
			winners++
		}
	}
	slices.Sort(won)
	slices.Sort(counted)
	if unique := slices.Compact(slices.Clone(won)); len(won) != raced || len(unique) != raced {
		t.Errorf("%d answers counted, of %d of %d challenges", len(won), len(unique), raced)
	}
	if unique := slices.Compact(slices.Clone(counted)); len(counted) != processes*raced || len(unique) != len(counted) {
		t.Errorf("%d tries were counted as %d", len(counted), len(unique))
	}
	suspended := 0
	for _, g := range guessed {
		if g == "guessed 51 <nil>" {
			suspended++
		}
	}
	if let := processes*raced - suspended; let != 50 {
		t.Errorf("%d guesses were let through", let)
	}
	if winners < 2 {
		t.Errorf("%d processes won something, so there was no race", winners)
	}
}
