package carillon

// RateLimit is how many requests a key may make. Its zero value is no limit of
// its own.
type RateLimit struct {
	// PerSecond is what it may make on and on.
	PerSecond float64 `json:"per_second"`
	// Burst is how many may come at once after a pause.
	Burst int `json:"burst"`
}

// Limits of a [RateLimit]: below the least a key is of no use, above the most
// nothing is limited.
const (
	MinRate  = 0.01
	MaxRate  = 1_000_000
	MaxBurst = 10_000_000
)

// IsZero reports whether there is no limit.
func (r RateLimit) IsZero() bool { return r == RateLimit{} }
