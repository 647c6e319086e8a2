package sqlstore

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// BenchmarkDump measures a backup and its return: rows a second, and the most memory that was in use on the way. There
// are ten thousand users, or as many as the environment says in AUTHGATE_SCALE, each with a credential and two sessions.
func BenchmarkDump(b *testing.B) {
	users, err := strconv.Atoi(os.Getenv("AUTHGATE_SCALE"))
	if err != nil {
		users = 10_000
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			s := kindsOfStores[kind](b)
			crowd(b, s, users)
			file, err := os.Create(filepath.Join(b.TempDir(), "dump"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			measure(b, "dump", file, func() (Contents, error) { return s.Dump(b.Context(), &watched{to: file}, noon) })
			measure(b, "restore", file, func() (Contents, error) {
				empty := kindsOfStores[kind](b)
				b.ResetTimer()
				return empty.Restore(b.Context(), &watched{from: file})
			})
		})
	}
}

// mostMemory is the most that was in use when somebody looked.
var mostMemory uint64

func measure(b *testing.B, name string, file *os.File, do func() (Contents, error)) {
	b.Run(name, func(b *testing.B) {
		mostMemory = 0
		rows := int64(0)
		began := time.Now()
		for range b.N {
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				b.Fatal(err)
			}
			c, err := do()
			if err != nil {
				b.Fatal(err)
			}
			for _, n := range c.Rows {
				rows += n
			}
		}
		info, err := file.Stat()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
		b.ReportMetric(float64(mostMemory)/(1<<20), "peak-MiB")
		b.ReportMetric(float64(info.Size())/(float64(rows)/float64(b.N)), "file-B/row")
	})
}

// watched looks how much memory is in use as a dump passes by.
type watched struct {
	to   io.Writer
	from io.Reader
	n    int
}

func (w *watched) Write(p []byte) (int, error) {
	w.look()
	return w.to.Write(p)
}

func (w *watched) Read(p []byte) (int, error) {
	w.look()
	return w.from.Read(p)
}

func (w *watched) look() {
	if w.n++; w.n%64 != 0 {
		return
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	mostMemory = max(mostMemory, sample[0].Value.Uint64())
}

// crowd fills a store with users.
func crowd(b *testing.B, s *Store, users int) {
	b.Helper()
	in, out := io.Pipe()
	go func() { out.CloseWithError(writeCrowd(out, users)) }()
	_, err := s.Restore(b.Context(), in)
	if err = errors.Join(err, in.Close()); err != nil {
		b.Fatal(err)
	}
}

func writeCrowd(to io.Writer, users int) error {
	w, err := newDumpWriter(to)
	if err != nil {
		return err
	}
	c := newContents()
	if err := w.object(dumpHeader{dumpFormat, 1, noon}); err != nil {
		return err
	}
	now := noon.UnixMicro()
	for _, t := range durable {
		if t.since > 1 {
			continue // a dump of the first schema does not have it
		}
		if err := w.object(t.header()); err != nil {
			return err
		}
		each := map[string]int{"users": 1, "usernames": 1, "credentials": 1, "sessions": 2}[t.name]
		for i := range users * each {
			user := authcore.HashSecret(strconv.Itoa(i/each) + "user")
			own := authcore.HashSecret(strconv.Itoa(i) + t.name)
			id := hexOf(user)
			var row []any
			switch t.name {
			case "users":
				row = []any{id, "0x" + id, "0x" + id, "Name of " + id[:8], "", `["editor"]`, int64(0), now, int64(1)}
			case "usernames":
				row = []any{"0x" + id, id}
			case "credentials":
				row = []any{hexOf(own), id, "wallet", "0x" + id, "", nil, now, now, int64(1)}
			case "sessions":
				row = []any{
					hexOf(own), id, "https://app.example.com", int64(i % 2), own[:], own[:], user[:], own[:], now,
					`[{"method":"wallet","time":1777896000123456}]`, now, now, now + 43_200_000_000, now + 604_800_000_000, now + 43_200_000_000,
					"192.0.2.1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", int64(1),
				}
			}
			line := appendRow(nil, row)
			c.count(t.name, line)
			if err := w.line(line); err != nil {
				return err
			}
		}
	}
	return w.end(c)
}

func hexOf(h [32]byte) string { return hex.EncodeToString(h[:16]) }
