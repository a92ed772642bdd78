package carillon

// KeptDeliveries is how many of its newest deliveries a subscription keeps in
// the index, whatever their age, with the rows of their events.
const KeptDeliveries = 50

// RunEnd says how a run ended.
type RunEnd string

// The ends of a run. RunGone is that of one that Temporal does not know: its
// history was removed.
const (
	RunOpen       RunEnd = "" // it goes on
	RunCompleted  RunEnd = "completed"
	RunFailed     RunEnd = "failed"
	RunCanceled   RunEnd = "canceled"
	RunTerminated RunEnd = "terminated"
	RunTimedOut   RunEnd = "timed out"
	RunGone       RunEnd = "gone"
)
