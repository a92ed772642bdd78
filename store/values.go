package store

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxParameters is below what SQLite (32,766) and PostgreSQL (65,535) take in
// one statement.
const maxParameters = 32_000

// values writes the rows of a VALUES list with a placeholder for each column.
func values(rows, columns int) string {
	row := "(?" + strings.Repeat(", ?", columns-1) + ")"
	return row + strings.Repeat(", "+row, rows-1)
}

// asJSON writes what is made of strings and numbers, which cannot fail.
func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: encode %T: %v", v, err))
	}
	return string(text)
}

// where collects the conditions of a list from a fixed set of texts.
type where struct {
	conditions []string
	args       []any
}

func (w *where) and(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}
