package sqlitestore_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest"
)

func BenchmarkScale(b *testing.B) {
	storetest.Scale(b, func(b *testing.B, users int) authcore.Stores {
		path := filepath.Join(b.TempDir(), "test.db")
		open(b, path)
		db, err := sql.Open("sqlite", path)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		series := fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT %d) ", users)
		for _, fill := range storetest.ScaleSQL(func(insert string) string { return series + insert }, "zeroblob(32)") {
			if _, err := db.ExecContext(b.Context(), fill); err != nil {
				b.Fatal(err)
			}
		}
		return open(b, path).Stores()
	})
}
