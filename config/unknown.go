package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	prefix = "CARILLON_"
	// testPrefix starts variables of the test suite, which also the binaries
	// under test see.
	testPrefix = prefix + "TEST_"
)

// Kubernetes gives every container variables of the services beside it: of one
// called carillon or carillon-api they would start with CARILLON_.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var (
	serviceVariable = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
	servicePort     = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// unknown returns an error for every variable that no setting has: most likely
// a typing error, which would otherwise go unseen.
func unknown(values map[string]string) []error {
	var known []string
	for _, s := range settings() {
		known = append(known, s.name)
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case slices.Contains(known, name),
			strings.HasPrefix(name, testPrefix),
			serviceVariable.MatchString(name),
			strings.HasSuffix(name, "_PORT") && servicePort.MatchString(values[name]):
			continue
		}
		nearest := slices.MinFunc(known, func(a, b string) int { return distance(a, name) - distance(b, name) })
		problems = append(problems, fmt.Errorf("%s: there is no such setting; the nearest is %s", name, nearest))
	}
	return problems
}

// distance counts the characters to insert, delete or replace between a and b.
// https://en.wikipedia.org/wiki/Levenshtein_distance
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
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
