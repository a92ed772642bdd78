package conditions

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/Masterminds/semver/v3"

	"github.com/carillon-dev/carillon"
)

// regexPrefix marks a pattern that is a regular expression.
const regexPrefix = "re:"

// never is the expression of a match that is never to run.
const never = "false"

// Effective returns the one expression that a subscription's events must make
// true: its fields and its condition together, empty for neither. Fields that
// [CheckMatch] refuses give an expression that does not compile.
func Effective(match carillon.Match, condition string) string {
	fields := MatchExpression(match)
	switch {
	case fields == "" || fields == never:
		if fields == "" {
			return condition
		}
		return never
	case strings.TrimSpace(condition) == "":
		return fields
	case strings.Contains(condition, "//"):
		condition += "\n" // else a comment would swallow the bracket
	}
	return fields + " && (" + condition + ")"
}

// MatchExpression writes fields as an expression; empty when they match
// everything.
func MatchExpression(m carillon.Match) string {
	if m.Mode == carillon.MatchNever {
		return never
	}
	var parts []string
	if m.Package != "" {
		// What the producer calls the package can differ from its purl, as
		// acme/hello does from pkg:oci/hello.
		parts = append(parts, "("+textExpression("pkg.published_name", m.Package)+" || "+
			textExpression(packageVariable(m.Package), m.Package)+")")
	}
	if m.Version != "" {
		parts = append(parts, versionExpression(m.Version))
	}
	if m.MinScore != nil {
		parts = append(parts, "has(data.score) && data.score != null && double(data.score) >= "+strconv.FormatFloat(*m.MinScore, 'f', -1, 64))
	}
	if len(m.ProjectIDs) > 0 {
		ids := make([]string, len(m.ProjectIDs))
		for i, id := range m.ProjectIDs {
			ids[i] = celText(strconv.FormatInt(id, 10))
		}
		// Some tools write ids as texts.
		parts = append(parts, "has(data.project_id) && data.project_id != null && string(data.project_id) in ["+strings.Join(ids, ", ")+"]")
	}
	return strings.Join(parts, " && ")
}

// packageVariable is what of the purl a package's pattern is held against: the name, and
// with its namespace where the pattern has a slash, as in "@angular/*".
func packageVariable(pattern string) string {
	if strings.Contains(pattern, "/") {
		return "pkg.full_name"
	}
	return "pkg.name"
}

func textExpression(variable, pattern string) string {
	if regex, ok := strings.CutPrefix(pattern, regexPrefix); ok {
		return variable + ".matches(" + celText(regex) + ")"
	}
	return variable + ".glob(" + celText(pattern) + ")"
}

func versionExpression(pattern string) string {
	const version = "pkg.published_version"
	switch _, is := readInterval(pattern); {
	case is:
		return version + ".in_interval(" + celText(pattern) + ")"
	case isRange(pattern):
		return version + ".semver_in(" + celText(pattern) + ")"
	}
	return textExpression(version, pattern)
}

// isRange reports whether a version's pattern is a range as semver_in reads it.
func isRange(pattern string) bool { return strings.ContainsAny(pattern[:1], "<>=^~!") }

// celText writes a text as a literal. Control characters never get here.
func celText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// CheckMatch looks at what people wrote. The error is a [carillon.CodeInvalid]
// with a problem for each field that is wrong, its pointer the field's name;
// those of patterns have a line and a column.
func CheckMatch(m carillon.Match) error {
	var problems []carillon.Problem
	wrong := func(field, detail string, column int) {
		p := carillon.Problem{Pointer: "/" + field, Detail: detail, Column: column}
		if column > 0 {
			p.Line = 1
		}
		problems = append(problems, p)
	}
	switch {
	case !slices.Contains(carillon.MatchModes, m.Mode):
		wrong("mode", "must be one of always, never, conditionally", 0)
	case m.Mode == carillon.MatchAlways && m.Asks():
		wrong("mode", "is always, which asks for nothing: leave the other fields out, or make it conditionally", 0)
	case m.Mode == carillon.MatchConditionally && !m.Asks():
		wrong("mode", "is conditionally, which needs package, version, min_score or project_ids", 0)
	}
	if detail, column := checkPattern(m.Package); detail != "" {
		wrong("package", detail, column)
	}
	if detail, column := checkVersion(m.Version); detail != "" {
		wrong("version", detail, column)
	}
	if s := m.MinScore; s != nil && (*s < 0 || *s > carillon.MaxScore) {
		wrong("min_score", "must be from 0 to 10", 0)
	}
	if len(m.ProjectIDs) > carillon.MaxProjectIDs {
		wrong("project_ids", "may hold at most 100", 0)
	}
	if len(problems) > 0 {
		return &carillon.Error{Code: carillon.CodeInvalid, Message: "the match is not valid", Problems: problems}
	}
	return nil
}

// checkText looks for what no name or version has, and no literal of an
// expression can hold as it is.
func checkText(pattern string) error {
	if err := checkGlob(pattern); err != nil {
		return err
	}
	if !utf8.ValidString(pattern) || strings.ContainsFunc(pattern, unicode.IsControl) {
		return errors.New("has control characters, or is not valid UTF-8")
	}
	return nil
}

func checkPattern(pattern string) (detail string, column int) {
	if err := checkText(pattern); err != nil {
		return err.Error(), 1
	}
	regex, ok := strings.CutPrefix(pattern, regexPrefix)
	if !ok {
		return "", 0
	}
	if regex == "" {
		return "has no regular expression after re:", 1
	}
	_, err := regexSize(regex)
	if err == nil {
		return "", 0
	}
	column = len(regexPrefix) + 1
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		// The offending part is a tail or a piece of what was written.
		if i := strings.Index(regex, bad.Expr); i > 0 {
			column += len([]rune(regex[:i]))
		}
	}
	return "is no regular expression: " + err.Error(), column
}

func checkVersion(pattern string) (detail string, column int) {
	if pattern == "" {
		return "", 0
	}
	// Ranges and intervals, too: reading one costs more than its length.
	if err := checkText(pattern); err != nil {
		return err.Error(), 1
	}
	if r, is := readInterval(pattern); is {
		return r.check()
	}
	if isRange(pattern) {
		if _, err := semver.NewConstraint(pattern); err != nil {
			return strconv.Quote(pattern) + ` is no version range such as ">=1.2 <2"`, 1
		}
		return "", 0
	}
	return checkPattern(pattern)
}
