package conditions

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// nuGetVersion is a version as NuGet reads it: up to four numbers, and what
// marks a pre-release.
// https://learn.microsoft.com/en-us/nuget/concepts/package-versioning
type nuGetVersion struct {
	numbers    [4]uint64
	prerelease string
}

var nuGetPattern = regexp.MustCompile(`^[vV]?(\d{1,18})(?:\.(\d{1,18}))?(?:\.(\d{1,18}))?(?:\.(\d{1,18}))?` +
	`(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?$`)

// readNuGetVersion reports false for what is none, such as "latest".
func readNuGetVersion(text string) (v nuGetVersion, ok bool) {
	found := nuGetPattern.FindStringSubmatch(text)
	if found == nil {
		return v, false
	}
	for i := range v.numbers {
		v.numbers[i], _ = strconv.ParseUint(found[i+1], 10, 64) // of digits, or empty, which is 0
	}
	v.prerelease = strings.ToLower(found[5])
	return v, true
}

// compare orders versions: by their numbers, then a pre-release before its
// release, then pre-releases in any case by their pieces, numbers as such and
// before letters. What follows a + does not count.
func (v nuGetVersion) compare(other nuGetVersion) int {
	for i := range v.numbers {
		if c := cmp.Compare(v.numbers[i], other.numbers[i]); c != 0 {
			return c
		}
	}
	switch {
	case v.prerelease == other.prerelease:
		return 0
	case v.prerelease == "":
		return 1
	case other.prerelease == "":
		return -1
	}
	a, b := strings.Split(v.prerelease, "."), strings.Split(other.prerelease, ".")
	for i := range min(len(a), len(b)) {
		if c := comparePieces(a[i], b[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func comparePieces(a, b string) int {
	isNumber := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	switch {
	case isNumber(a) && isNumber(b):
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	case isNumber(a):
		return -1
	case isNumber(b):
		return 1
	default:
		return strings.Compare(a, b)
	}
}

// interval is a range of versions as NuGet writes it.
// https://learn.microsoft.com/en-us/nuget/concepts/package-versioning#version-ranges
type interval struct {
	low, high          string // empty where it is open
	withLow, withHigh  bool
	lowAt, highAt, end int    // columns, from 1
	wrong              string // what is not as it must be
}

// readInterval reads a pattern that begins with a bracket; it reports false for
// every other.
func readInterval(pattern string) (r interval, is bool) {
	if pattern == "" || pattern[0] != '[' && pattern[0] != '(' {
		return r, false
	}
	last := pattern[len(pattern)-1]
	r.withLow, r.withHigh, r.end = pattern[0] == '[', last == ']', len(pattern)
	if len(pattern) < 2 || last != ']' && last != ')' {
		r.wrong = "an interval ends with ] or ): [1.0,2.0)"
		return r, true
	}
	low, high, two := strings.Cut(pattern[1:len(pattern)-1], ",")
	if !two {
		high = low
		if !r.withLow || !r.withHigh || strings.TrimSpace(low) == "" {
			r.wrong = "an interval has two ends, as [1.0,2.0), or one version in square brackets, as [1.0]"
		}
	}
	r.low, r.high = strings.TrimSpace(low), strings.TrimSpace(high)
	r.lowAt, r.highAt = 2, 2
	if two {
		r.highAt = len(low) + 3
	}
	return r, true
}

// check says what is wrong with the interval, and at which column.
func (r interval) check() (detail string, column int) {
	if r.wrong != "" {
		return r.wrong, r.end
	}
	low, lowOK := readNuGetVersion(r.low)
	if r.low != "" && !lowOK {
		return strconv.Quote(r.low) + " is no version such as 1.2 or 1.2.3.4-beta", r.lowAt
	}
	high, highOK := readNuGetVersion(r.high)
	if r.high != "" && !highOK {
		return strconv.Quote(r.high) + " is no version such as 1.2 or 1.2.3.4-beta", r.highAt
	}
	if r.low != "" && r.high != "" && (high.compare(low) < 0 || high.compare(low) == 0 && (!r.withLow || !r.withHigh)) {
		return "no version is in this interval", 1
	}
	return "", 0
}

// test returns what says whether a version is in the interval, which check
// found right: by the order of versions, so that pre-releases are in it where
// they belong.
func (r interval) test() func(version string) bool {
	low, _ := readNuGetVersion(r.low)
	high, _ := readNuGetVersion(r.high)
	return func(text string) bool {
		version, ok := readNuGetVersion(text)
		if !ok {
			return false
		}
		fromLow, fromHigh := version.compare(low), version.compare(high)
		return (r.low == "" || fromLow > 0 || fromLow == 0 && r.withLow) &&
			(r.high == "" || fromHigh < 0 || fromHigh == 0 && r.withHigh)
	}
}

// inInterval reads a range that is a literal of a condition.
func inInterval(text string) (func(version string) bool, error) {
	r, is := readInterval(text)
	if !is {
		return nil, noIntervalError(text)
	}
	if detail, _ := r.check(); detail != "" {
		return nil, noIntervalError(text)
	}
	return r.test(), nil
}

type noIntervalError string

func (e noIntervalError) Error() string {
	return strconv.Quote(string(e)) + " is not an interval of versions such as [1.0,2.0)"
}
