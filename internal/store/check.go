package store

import (
	"context"
	"fmt"
)

// Check asks SQLite whether the file is sound: every page, index, constraint
// and reference. It returns what is wrong, one sentence each, and takes time
// in proportion to the size of the file.
func (db *DB) Check(ctx context.Context) (problems []string, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		err := tx.Each(`PRAGMA integrity_check`, nil, func(scan func(...any) error) error {
			var text string
			err := scan(&text)
			if err == nil && text != "ok" {
				problems = append(problems, text)
			}
			return err
		})
		if err != nil {
			return err
		}
		return tx.Each(`SELECT "table", COUNT(*) FROM pragma_foreign_key_check GROUP BY "table"`, nil, func(scan func(...any) error) error {
			var table string
			var count int
			err := scan(&table, &count)
			if err == nil {
				problems = append(problems, fmt.Sprintf("%d rows of %s refer to something that is not there", count, table))
			}
			return err
		})
	})
	if err != nil {
		return problems, fmt.Errorf("check database: %w", err)
	}
	return problems, nil
}
