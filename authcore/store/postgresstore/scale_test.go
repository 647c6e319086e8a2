//go:build unix

package postgresstore_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

func BenchmarkScale(b *testing.B) {
	storetest.Scale(b, func(b *testing.B, users int) authcore.Stores {
		dsn := servers.Postgres(b)
		open(b, postgresstore.Config{DSN: dsn})
		db, err := sql.Open("pgx", dsn)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		series := fmt.Sprintf("WITH n(i) AS (SELECT generate_series(0, %d)) ", users-1)
		for _, fill := range append(storetest.ScaleSQL(func(insert string) string { return series + insert }, `decode(repeat('00', 32), 'hex')`), "ANALYZE") {
			if _, err := db.ExecContext(b.Context(), fill); err != nil {
				b.Fatal(err)
			}
		}
		s := open(b, postgresstore.Config{DSN: dsn})
		if _, err := db.ExecContext(b.Context(), "ANALYZE"); err != nil {
			b.Fatal(err)
		}
		return s.Stores()
	})
}
