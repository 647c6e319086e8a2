package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// ErrNotEmpty says that a store has something in it already.
var ErrNotEmpty = errors.New("the store is not empty")

// Dump writes everything durable that the store holds at one moment, while it is in use: users, the names they ever had,
// credentials, sessions, signing keys, confirmations and the outbox; not challenges, attempts and notices. It needs the same
// little memory for any number of them. What it wrote is secret: it has the private keys in it.
//
// SQLite's write-ahead log grows for as long as this takes. A dump of either kind of database fills a store of either kind.
// It answers ErrNewerSchema where the database is ahead of this program.
func (s *Store) Dump(ctx context.Context, to io.Writer, now time.Time) (Contents, error) {
	var c Contents
	tx, err := s.snapshot(ctx)
	if err == nil {
		c, err = s.dump(ctx, tx, to, now)
		// It only read.
		_ = tx.Rollback()
	}
	return c, explain(ctx, "dump", err)
}

// snapshot begins a transaction that reads what is there at this moment, whatever others write meanwhile.
func (s *Store) snapshot(ctx context.Context) (*sql.Tx, error) {
	tx, err := s.reads.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	if err := s.dialect.unhurried(ctx, tx); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return tx, nil
}

// unhurried lifts the limits that the database may have for a statement: those here are long.
func (d *Dialect) unhurried(ctx context.Context, tx *sql.Tx) error {
	if d.Name != database.DialectPostgres {
		return nil
	}
	for _, limit := range []string{"statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"} {
		// Not every version knows every one of them.
		if _, err := tx.ExecContext(ctx, `SELECT set_config(name, '0', true) FROM pg_settings WHERE name = $1`, limit); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) dump(ctx context.Context, tx *sql.Tx, to io.Writer, now time.Time) (Contents, error) {
	schema, err := s.schema(ctx, tx)
	if err != nil {
		return Contents{}, err
	}
	w, err := newDumpWriter(to)
	if err != nil {
		return Contents{}, err
	}
	c := newContents()
	c.Schema, c.Time = schema, now.UTC()
	if err := w.object(dumpHeader{dumpFormat, c.Schema, c.Time}); err != nil {
		return c, err
	}
	for _, t := range durable {
		if err := w.object(t.header()); err != nil {
			return c, err
		}
		err := s.rows(ctx, tx, t, func(line []byte) error {
			c.count(t.name, line)
			return w.line(line)
		})
		if err != nil {
			return c, fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return c, w.end(c)
}

// schema answers the version of the schema, or ErrNewerSchema: there may be tables that this program knows nothing of.
func (s *Store) schema(ctx context.Context, tx *sql.Tx) (version int64, err error) {
	known := int64(0)
	steps, err := fs.Glob(s.dialect.Migrations, "*.sql")
	if err != nil {
		return 0, err
	}
	for _, step := range steps {
		n, err := goose.NumericComponent(step)
		if err != nil {
			return 0, err
		}
		known = max(known, n)
	}
	_, err = (run{on: tx, dialect: &s.dialect}).row(ctx, `SELECT coalesce(max(version_id), 0) FROM migrations`, nil, &version)
	if err == nil && version > known {
		err = verdict{fmt.Errorf("%w: its schema is at version %d, this program knows %d", ErrNewerSchema, version, known)}
	}
	return version, err
}

// rows calls f with every row of a table, as a line of a dump that is good until f returns.
func (s *Store) rows(ctx context.Context, tx *sql.Tx, t table, f func(line []byte) error) error {
	into := make([]any, len(t.columns))
	for i, c := range t.columns {
		switch c.kind {
		case number:
			into[i] = new(sql.NullInt64)
		case blob, hash32:
			into[i] = new([]byte)
		default:
			into[i] = new(sql.NullString)
		}
	}
	values := make([]any, len(t.columns))
	var line []byte
	statement := `SELECT ` + strings.Join(t.header().Columns, ", ") + ` FROM ` + t.name
	return (run{on: tx, dialect: &s.dialect}).each(ctx, statement, nil, func(scan func(...any) error) error {
		if err := scan(into...); err != nil {
			return err
		}
		for i, c := range t.columns {
			values[i] = c.value(into[i])
		}
		line = appendRow(line[:0], values)
		return f(line)
	})
}

// value answers what was scanned in its one form: nothing at all is NULL where that is allowed.
func (c column) value(scanned any) any {
	switch v := scanned.(type) {
	case *sql.NullInt64:
		if v.Valid {
			return v.Int64
		}
	case *sql.NullString:
		if v.Valid {
			return v.String
		}
	case *[]byte:
		if !c.null || len(*v) > 0 {
			return *v
		}
	}
	return nil
}

// Restore fills an empty store with a dump, all of it or nothing, and reads it back before it is done. Challenges, attempts
// and notices that the store may hold are left alone. It answers ErrNotEmpty, ErrDamagedDump, ErrNewerDump or ErrUnavailable.
func (s *Store) Restore(ctx context.Context, from io.Reader) (Contents, error) {
	var tx *sql.Tx
	err := s.again(ctx, "restore", func() (err error) {
		tx, err = s.db.BeginTx(ctx, nil)
		return err
	})
	if err != nil {
		return Contents{}, err
	}
	c, err := s.restore(ctx, tx, from)
	if err != nil {
		_ = tx.Rollback() // as in transaction
	} else {
		err = tx.Commit()
	}
	if err != nil {
		return Contents{}, explain(ctx, "restore", err)
	}
	return c, nil
}

func (s *Store) restore(ctx context.Context, tx *sql.Tx, from io.Reader) (Contents, error) {
	if err := s.dialect.unhurried(ctx, tx); err != nil {
		return Contents{}, err
	}
	if err := s.empty(ctx, tx); err != nil {
		return Contents{}, err
	}
	schema, err := s.schema(ctx, tx)
	if err != nil {
		return Contents{}, err
	}
	in := &filling{ctx: ctx, store: s, tx: tx, schema: schema}
	c, err := readDump(from, in)
	if err == nil {
		err = in.flush()
	}
	if errors.Is(err, ErrDamagedDump) || errors.Is(err, ErrNewerDump) {
		err = verdict{err}
	}
	if err != nil {
		return c, err
	}
	return c, s.compare(ctx, tx, c)
}

// empty answers ErrNotEmpty where a durable table has a row, and sees to it that nobody writes one until the end.
func (s *Store) empty(ctx context.Context, tx *sql.Tx) error {
	r := run{on: tx, dialect: &s.dialect}
	for _, t := range durable {
		if s.dialect.LockRow != "" { // else whoever writes is the only one
			if _, err := r.exec(ctx, `LOCK TABLE `+t.name+` IN EXCLUSIVE MODE`); err != nil {
				return err
			}
		}
		there, err := r.row(ctx, `SELECT 1 FROM `+t.name+` LIMIT 1`, nil, new(int))
		if err != nil {
			return err
		} else if there {
			return verdict{fmt.Errorf("%w: table %s has rows", ErrNotEmpty, t.name)}
		}
	}
	return nil
}

// compare reads what was stored, which must be what was given.
func (s *Store) compare(ctx context.Context, tx *sql.Tx, given Contents) error {
	stored := newContents()
	for _, t := range durable {
		err := s.rows(ctx, tx, t, func(line []byte) error {
			stored.count(t.name, line)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if table, differs := given.differs(stored); differs {
		return fmt.Errorf("table %s was given %d rows, and its %d rows are not these", table, given.Rows[table], stored.Rows[table])
	}
	return nil
}

// filling stores the rows of a dump.
type filling struct {
	ctx    context.Context
	store  *Store
	tx     *sql.Tx
	schema int64 // of the store

	table    table // of the rows that wait
	values   []any // of these rows
	rows     int
	bytes    int
	line     int       // where the last of them stands
	full     *sql.Stmt // stores as many rows as wait at most; nil: not prepared yet
	fullSize int
}

const (
	// What one statement stores: enough that its way to the database does not count, and no more values than any takes.
	maxBatchValues = 2000
	maxBatchBytes  = 1 << 20
)

func (f *filling) header(c Contents) error {
	if c.Schema > f.schema {
		return fmt.Errorf("%w: its schema is at version %d, this program knows %d", ErrNewerDump, c.Schema, f.schema)
	}
	return nil
}

func (f *filling) row(t table, number, size int, values []any) error {
	if f.table.name != t.name {
		if err := f.begin(t); err != nil {
			return err
		}
	}
	f.values = append(f.values, values...)
	f.rows, f.bytes, f.line = f.rows+1, f.bytes+size, number
	if f.rows == f.fullSize || f.bytes > maxBatchBytes {
		return f.flush()
	}
	return nil
}

func (f *filling) begin(t table) error {
	if err := f.flush(); err != nil {
		return err
	}
	f.table, f.full, f.fullSize = t, nil, maxBatchValues/len(t.columns)
	return nil
}

// flush stores the rows that wait.
func (f *filling) flush() error {
	if f.rows == 0 {
		return nil
	}
	result, err := f.insert()
	if err != nil {
		return fmt.Errorf("table %s: the rows up to line %d: %w", f.table.name, f.line, err)
	}
	stored, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if stored != int64(f.rows) {
		return damaged(f.line, fmt.Errorf("table %s: of the %d rows up to here some exclude each other", f.table.name, f.rows))
	}
	f.values, f.rows, f.bytes = f.values[:0], 0, 0
	return nil
}

func (f *filling) insert() (sql.Result, error) {
	if f.rows < f.fullSize {
		return f.tx.ExecContext(f.ctx, f.statement(), f.values...)
	}
	if f.full == nil {
		var err error
		if f.full, err = f.tx.PrepareContext(f.ctx, f.statement()); err != nil { // closed with the transaction
			return nil, err
		}
	}
	return f.full.ExecContext(f.ctx, f.values...)
}

// statement stores the rows that wait.
func (f *filling) statement() string {
	row := "(?" + strings.Repeat(", ?", len(f.table.columns)-1) + ")"
	return f.store.dialect.bind(`INSERT INTO ` + f.table.name + ` (` + strings.Join(f.table.header().Columns, ", ") + `) VALUES ` +
		row + strings.Repeat(", "+row, f.rows-1) + ` ON CONFLICT DO NOTHING`)
}

// CheckDump reads a dump to its end. It answers ErrDamagedDump or ErrNewerDump.
func CheckDump(from io.Reader) (Contents, error) {
	c, err := readDump(from, nowhere{})
	if err != nil {
		return Contents{}, fmt.Errorf("sqlstore: check dump: %w", err)
	}
	return c, nil
}

// nowhere is where rows go that are only checked.
type nowhere struct{}

func (nowhere) header(Contents) error            { return nil }
func (nowhere) row(table, int, int, []any) error { return nil }
