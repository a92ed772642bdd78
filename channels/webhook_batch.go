package channels

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
)

// Batcher is a sender that can make one attempt for several events.
type Batcher interface {
	// Fit says how many events of the message's Batch go into one request, the
	// first ones, and which of these can never be written: their places, and why.
	Fit(m Message) (n int, unwritable map[int]string)
}

// batchOverhead is kept free of a payload for what a format puts around and
// between its events.
const batchOverhead = 64

// Fit counts what goes into [carillon.MaxBatchPayload]; the first event always
// does.
func (w *webhook) Fit(m Message) (n int, unwritable map[int]string) {
	unwritable = map[int]string{}
	size := batchOverhead
	for i, event := range m.Batch {
		single := m
		single.Event, single.Batch = event, nil
		payload, err := w.Payload(single)
		if err != nil {
			unwritable[i] = err.Error()
			continue
		}
		size += len(payload.Body) + 1
		if i > 0 && size > carillon.MaxBatchPayload {
			return i, unwritable
		}
	}
	return len(m.Batch), unwritable
}

// joined renders the events of a batch as one payload.
func (w *webhook) joined(m Message) (formats.Payload, error) {
	format, _ := formats.Lookup(m.Format)
	batcher, ok := format.(formats.Batcher)
	if !ok || !batcher.Batches(m.FormatOptions) {
		return formats.Payload{}, errors.New("the format " + strconv.Quote(m.Format) + " carries one event only")
	}
	payloads := make([]formats.Payload, len(m.Batch))
	for i, event := range m.Batch {
		single := m
		single.Event, single.Batch = event, nil
		var err error
		if payloads[i], err = w.Payload(single); err != nil {
			return formats.Payload{}, err
		}
	}
	return batcher.Join(payloads), nil
}

// batchDigits is how much of the digest of its events' ids is part of a batch's
// id.
const batchDigits = 16

// id is the request's webhook-id: that of its event, and of several the first
// one's with a digest of all, so that the same events sent again have the same.
func (m Message) id() string {
	if len(m.Batch) < 2 {
		return m.Event.ID
	}
	sum := sha256.New()
	for _, event := range m.Batch {
		_, _ = io.WriteString(sum, event.ID+"\n") // a hash takes everything
	}
	return m.Batch[0].ID + "-" + hex.EncodeToString(sum.Sum(nil))[:batchDigits]
}

// answersByID reports whether an answer can name events of the message.
func (m Message) answersByID() bool {
	format, _ := formats.Lookup(m.Format)
	batcher, ok := format.(formats.Batcher)
	return len(m.Batch) > 0 && ok && batcher.Named()
}

// notTaken returns the events of the message that an answer {"failed":[ids]}
// names, in the message's order.
func (m Message) notTaken(answer []byte) []string {
	var body struct {
		Failed []string `json:"failed"`
	}
	if err := json.NewDecoder(bytes.NewReader(answer)).Decode(&body); err != nil {
		return nil
	}
	var ids []string
	for _, event := range m.Batch {
		if slices.Contains(body.Failed, event.ID) {
			ids = append(ids, event.ID)
		}
	}
	return ids
}

// copied is a body that leaves a copy of what is read of it.
type copied struct {
	io.Reader
	io.Closer
}

func copying(body io.ReadCloser, into io.Writer) io.ReadCloser {
	return copied{Reader: io.TeeReader(body, into), Closer: body}
}
