package catalog

import (
	"cmp"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
)

const (
	maxNearest = 3
	// maxTypos is how many letters may differ for a name to be taken for a
	// misspelling of another.
	maxTypos = 3
)

// Nearest returns at most three known types that may have been meant by the
// name, the likeliest first: those that are spelled nearly so, then those with
// the same last or first word.
func (c *Catalog) Nearest(name string) []string {
	known := make([]string, 0, len(c.types))
	for _, t := range c.types {
		known = append(known, t.Name)
	}
	return nearest(name, known)
}

func nearest(name string, known []string) []string {
	if len(name) > carillon.MaxTypeBytes {
		return nil // no misspelling is that long, and the distance costs its square
	}
	name = strings.ToLower(name)
	type candidate struct {
		name           string
		rank, distance int
	}
	var found []candidate
	for _, k := range known {
		c := candidate{name: k, distance: distance(name, k)}
		switch {
		case c.distance <= min(maxTypos, len(k)/2):
		case lastWord(name) == lastWord(k):
			c.rank = 1
		case firstWord(name) == firstWord(k):
			c.rank = 2
		default:
			continue
		}
		found = append(found, c)
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	names := make([]string, 0, maxNearest)
	for _, c := range found[:min(len(found), maxNearest)] {
		names = append(names, c.name)
	}
	return names
}

func firstWord(name string) string {
	word, _, _ := strings.Cut(name, ".")
	return word
}

func lastWord(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// distance is the Levenshtein distance in bytes; the names are ASCII.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
