package store

import (
	"context"
	"fmt"
)

// Check asks SQLite whether the file is sound: every page, index, constraint
// and reference. It returns what is wrong, one sentence each, and takes time
// in proportion to the size of the file.
func (db *DB) Check(ctx context.Context) (problems []string, err error) {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("check database: %w", explain(err))
	}
	defer conn.Close()
	rows, err := conn.QueryContext(ctx, `PRAGMA integrity_check`)
	if err != nil {
		return nil, fmt.Errorf("check database: %w", explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if text != "ok" {
			problems = append(problems, text)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("check database: %w", explain(err))
	}
	broken, err := conn.QueryContext(ctx, `SELECT "table", COUNT(*) FROM pragma_foreign_key_check GROUP BY "table"`)
	if err != nil {
		return nil, fmt.Errorf("check references: %w", explain(err))
	}
	defer broken.Close()
	for broken.Next() {
		var table string
		var count int
		if err := broken.Scan(&table, &count); err != nil {
			return nil, err
		}
		problems = append(problems, fmt.Sprintf("%d rows of %s refer to something that is not there", count, table))
	}
	return problems, explain(broken.Err())
}
