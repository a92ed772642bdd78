package carillon

// MatchMode says whether a subscription's [Match] is asked.
type MatchMode string

// The modes, which are those of a ProGet notifier: "always run", "never run",
// and "run conditionally".
const (
	MatchAlways        MatchMode = "always"
	MatchNever         MatchMode = "never"
	MatchConditionally MatchMode = "conditionally"
)

// MatchModes lists all modes.
var MatchModes = []MatchMode{MatchAlways, MatchNever, MatchConditionally}

// MaxScore is the highest score of a vulnerability, which is CVSS's.
const MaxScore = 10

// Match is a condition in fields, for those who write no expression. It
// compiles to one, and both it and a subscription's own condition must be true.
// Its zero value matches everything.
type Match struct {
	// Mode is kept where it is [MatchNever]; the others follow from the fields.
	Mode MatchMode `json:"mode,omitempty"`
	// Package and Version are patterns of the package's name and version; empty
	// for any. What they can be is in package conditions.
	Package string `json:"package,omitempty"`
	Version string `json:"version,omitempty"`
	// MinScore is the lowest score of a vulnerability; nil for any, and for
	// events without one.
	MinScore *float64 `json:"min_score,omitempty"`
	// ProjectIDs are numbers that the tool which raised the event knows its
	// projects by (data.project_id); empty for any.
	ProjectIDs []int64 `json:"project_ids,omitempty"`
}

// MaxProjectIDs bounds [Match.ProjectIDs]: a condition has so much room.
const MaxProjectIDs = 100

// Asks reports whether a field asks for something.
func (m Match) Asks() bool {
	return m.Package != "" || m.Version != "" || m.MinScore != nil || len(m.ProjectIDs) > 0
}

// IsZero reports whether it matches everything.
func (m Match) IsZero() bool { return m.Mode == "" && !m.Asks() }
