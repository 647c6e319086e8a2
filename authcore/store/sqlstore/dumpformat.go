package sqlstore

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"time"
)

// A dump is gzip'd lines of JSON. The first is a dumpHeader. Of each table follow a dumpTable and the rows, as arrays in the
// order of its columns: text as string, numbers as numbers, bytes in base64. The last is a dumpEnd, whose checksum covers all bytes before, so a file that was cut off or damaged is never taken for whole.

// dumpFormat is the version of what is told above.
const dumpFormat = 1

// maxLine bounds a line, in bytes: no row comes near it, and who reads a hostile file needs no more memory than that.
const maxLine = 4 << 20

var (
	// ErrDamagedDump says that what was read is no dump, or not a whole one.
	ErrDamagedDump = errors.New("not a whole backup")
	// ErrNewerDump says that a newer release has written the dump. It is not read: this one does not know what it means.
	ErrNewerDump = errors.New("the backup was written by a newer release")
)

// Contents is what a dump holds.
type Contents struct {
	Schema int64            // the version of the schema
	Time   time.Time        // when it was taken
	Rows   map[string]int64 // how many, by table

	sums map[string]sum
}

// differs answers a table whose rows differ from those of the other contents.
func (c Contents) differs(other Contents) (table string, differs bool) {
	for _, t := range durable {
		if c.Rows[t.name] != other.Rows[t.name] || c.sums[t.name] != other.sums[t.name] {
			return t.name, true
		}
	}
	return "", false
}

func newContents() Contents {
	return Contents{Rows: map[string]int64{}, sums: map[string]sum{}}
}

// count counts a row, as it stands in a dump.
func (c Contents) count(table string, line []byte) {
	c.Rows[table]++
	c.sums[table] = c.sums[table].with(line)
}

// sum tells sets of rows apart, whatever their order, since databases have orders of their own. It is the sum of the hashes
// of the rows: against accidents, not against somebody who makes rows up.
type sum [4]uint64

func (s sum) with(line []byte) sum {
	h := sha256.Sum256(line)
	for i := range s {
		s[i] += binary.BigEndian.Uint64(h[8*i:])
	}
	return s
}

type dumpHeader struct {
	Format int       `json:"authgate_backup"`
	Schema int64     `json:"schema"`
	Time   time.Time `json:"time"`
}

type dumpTable struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

type dumpEnd struct {
	Rows   map[string]int64 `json:"rows"`
	SHA256 string           `json:"sha256"`
}

func (t table) header() dumpTable {
	h := dumpTable{Table: t.name}
	for _, c := range t.columns {
		h.Columns = append(h.Columns, c.name)
	}
	return h
}

// dumpWriter writes the lines of a dump.
type dumpWriter struct {
	zip  *gzip.Writer
	to   io.Writer // zip and hash
	hash hash.Hash
}

func newDumpWriter(to io.Writer) (*dumpWriter, error) {
	// Most of it is hashes and keys, from which a better level gains nothing.
	zip, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	h := sha256.New()
	return &dumpWriter{zip, io.MultiWriter(zip, h), h}, err
}

func (w *dumpWriter) object(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.line(append(line, '\n'))
}

// line writes a line, which ends as lines do.
func (w *dumpWriter) line(line []byte) error {
	if len(line) > maxLine {
		return fmt.Errorf("a row of %d bytes is longer than any may be", len(line))
	}
	_, err := w.to.Write(line)
	return err
}

func (w *dumpWriter) end(c Contents) error {
	if err := w.object(dumpEnd{c.Rows, hex.EncodeToString(w.hash.Sum(nil))}); err != nil {
		return err
	}
	return w.zip.Close()
}

// appendRow appends a row as a line: values are nil, string, int64 or []byte.
func appendRow(line []byte, values []any) []byte {
	separator := byte('[')
	for _, value := range values {
		line = append(line, separator)
		separator = ','
		switch v := value.(type) {
		case nil:
			line = append(line, "null"...)
		case int64:
			line = strconv.AppendInt(line, v, 10)
		case []byte:
			line = append(line, '"')
			line = base64.StdEncoding.AppendEncode(line, v)
			line = append(line, '"')
		case string:
			line = appendText(line, v)
		}
	}
	return append(line, "]\n"...)
}

// appendText appends text as the stores keep it, though what was written before they did so may be otherwise.
func appendText(line []byte, s string) []byte {
	encoded, err := json.Marshal(storable([]any{s})[0])
	if err != nil {
		panic(err) // not for a string
	}
	return append(line, encoded...)
}

// dumpSink is told what a dump holds, in the order of the lines.
type dumpSink interface {
	header(Contents) error
	// row is told a row, and the number and the size of its line. The values are good until it is told more.
	row(t table, number, size int, values []any) error
}

// readDump reads a dump. What it told the sink holds only where it answers no error in the end.
func readDump(from io.Reader, to dumpSink) (Contents, error) {
	zip, err := gzip.NewReader(from)
	if err != nil {
		return Contents{}, damaged(0, err)
	}
	return readLines(zip, to)
}

// readLines is readDump after decompression.
func readLines(from io.Reader, to dumpSink) (Contents, error) {
	r := &lineReader{in: bufio.NewReaderSize(from, 64<<10), hash: sha256.New()}
	c := newContents()
	var h dumpHeader
	if err := r.object(&h); err != nil {
		return c, err
	}
	switch {
	case h.Format == 0:
		return c, damaged(r.number, errors.New("it does not begin as one"))
	case h.Format > dumpFormat:
		return c, fmt.Errorf("%w: its format is %d, this program knows %d", ErrNewerDump, h.Format, dumpFormat)
	}
	c.Schema, c.Time = h.Schema, h.Time
	if err := to.header(c); err != nil {
		return c, err
	}
	if err := r.next(); err != nil {
		return c, err
	}
	for _, t := range durable {
		if c.Schema < t.since {
			continue
		}
		if err := r.table(t, c, to); err != nil {
			return c, err
		}
	}
	return c, r.end(c)
}

func damaged(line int, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it is cut off")
	}
	return fmt.Errorf("%w: line %d: %w", ErrDamagedDump, line, err)
}

// lineReader reads lines, the one at hand being line.
type lineReader struct {
	in     *bufio.Reader
	line   []byte
	number int
	hash   hash.Hash // of all lines before the one at hand
}

func (r *lineReader) next() error {
	r.hash.Write(r.line)
	r.line = r.line[:0]
	r.number++
	for {
		part, err := r.in.ReadSlice('\n')
		r.line = append(r.line, part...)
		switch {
		case len(r.line) > maxLine:
			return damaged(r.number, errors.New("it is longer than any may be"))
		case err == nil:
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return damaged(r.number, err)
		}
	}
}

func (r *lineReader) object(v any) error {
	if err := r.next(); err != nil {
		return err
	}
	return r.decode(v)
}

func (r *lineReader) decode(v any) error {
	if err := json.Unmarshal(r.line, v); err != nil {
		return damaged(r.number, err)
	}
	return nil
}

// table reads the line that begins a table, which is at hand, and the rows.
func (r *lineReader) table(t table, c Contents, to dumpSink) error {
	var got dumpTable
	if err := r.decode(&got); err != nil {
		return err
	}
	if want := t.header(); got.Table != want.Table || !slices.Equal(got.Columns, want.Columns) {
		return damaged(r.number, fmt.Errorf("table %s does not begin as this release knows it", t.name))
	}
	for {
		if err := r.next(); err != nil {
			return err
		}
		if r.line[0] != '[' {
			return nil
		}
		values, err := t.parse(r.line)
		if err != nil {
			return damaged(r.number, fmt.Errorf("table %s: %w", t.name, err))
		}
		c.count(t.name, r.line)
		if err := to.row(t, r.number, len(r.line), values); err != nil {
			return err
		}
	}
}

// end checks the last line, which is at hand, and that it is the last.
func (r *lineReader) end(c Contents) error {
	var got dumpEnd
	if err := r.decode(&got); err != nil {
		return err
	}
	if got.SHA256 != hex.EncodeToString(r.hash.Sum(nil)) {
		return damaged(r.number, errors.New("the checksum is not that of the lines before"))
	}
	for _, t := range durable {
		if got.Rows[t.name] != c.Rows[t.name] {
			return damaged(r.number, fmt.Errorf("table %s should have %d rows and has %d", t.name, got.Rows[t.name], c.Rows[t.name]))
		}
	}
	// Reading to the end also checks what gzip knows of the file.
	switch _, err := r.in.ReadByte(); {
	case err == nil:
		return damaged(r.number, errors.New("it goes on after its end"))
	case !errors.Is(err, io.EOF):
		return damaged(r.number, err)
	}
	return nil
}

// parse reads a row. What it answers is written again as the very same line, so there is one way to write each row.
func (t table) parse(line []byte) ([]any, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil {
		return nil, err
	}
	if len(raw) != len(t.columns) {
		return nil, fmt.Errorf("%d values for %d columns", len(raw), len(t.columns))
	}
	values := make([]any, len(raw))
	for i, c := range t.columns {
		var err error
		if values[i], err = c.parse(raw[i]); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	if !bytes.Equal(appendRow(nil, values), line) {
		return nil, errors.New("it is not written as this program writes rows")
	}
	return values, nil
}

func (c column) parse(raw json.RawMessage) (value any, err error) {
	if string(raw) == "null" {
		if !c.null {
			return nil, errors.New("a value is missing")
		}
		return nil, nil
	}
	switch c.kind {
	case number:
		var v int64
		err = json.Unmarshal(raw, &v)
		return v, err
	case blob, hash32:
		var v []byte
		err = json.Unmarshal(raw, &v)
		if err == nil && c.kind == hash32 && len(v) != 32 {
			err = fmt.Errorf("a hash of %d bytes", len(v))
		}
		return v, err
	}
	var v string
	err = json.Unmarshal(raw, &v)
	if err == nil && c.kind == list {
		err = json.Unmarshal([]byte(v), new([]json.RawMessage))
	}
	return v, err
}
