package carillon

import (
	"strings"
	"time"
)

// Batch gathers a subscription's events: many in one request.
type Batch struct {
	// Window is how long events are gathered, from the first one on; 0 for no
	// batches.
	Window Duration `json:"window"`
	// Max is how many events close a window before its time.
	Max int `json:"max"`
}

// Limits of batches.
const (
	MinWindow       = time.Second
	MaxWindow       = time.Hour
	DefaultBatchMax = 100
	MaxBatchMax     = 1000
	// MaxBatchPayload is where a request is split.
	MaxBatchPayload = 1 << 20
)

// IsZero reports whether each event goes alone.
func (b Batch) IsZero() bool { return b.Window == 0 }

const gatherPrefix = "gather/"

// GatherWorkflowID names the run that gathers a subscription's events.
func GatherWorkflowID(subscription string) string { return gatherPrefix + subscription }

// IsGather reports whether the workflow id is that of a run that gathers.
func IsGather(workflowID string) bool { return strings.HasPrefix(workflowID, gatherPrefix) }

// NotTakenReason is the error of an event that the answer to its batch named.
const NotTakenReason = "the receiver took the batch, but says that this event failed"
