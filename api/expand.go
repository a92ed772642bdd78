package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/formats"
)

const (
	// maxExpanded is how many deliveries of a list are answered in full.
	maxExpanded = 50
	// historiesAtOnce bounds the histories that are read at once for one answer:
	// Temporal has other work.
	historiesAtOnce = 4
	// expandTimeout is for all of them. What is not read by then says so.
	expandTimeout = 20 * time.Second
	// maxShownPayload is how much of a payload is answered.
	maxShownPayload = 32 << 10
)

// expansion is what a delivery is answered with beside its row.
type expansion struct{ attempts, payload bool }

// expand takes what is to be answered in full, separated by commas or given
// several times.
func (q *query) expand() expansion {
	var x expansion
	for _, list := range q.texts("expand") {
		for word := range strings.SplitSeq(list, ",") {
			switch word {
			case "attempts":
				x.attempts = true
			case "payload":
				x.attempts, x.payload = true, true // what was sent, an attempt says
			default:
				q.fail("the query parameter expand must be attempts, payload, or both")
			}
		}
	}
	return x
}

// payloadView is what a delivery sends.
type payloadView struct {
	Body string `json:"body"`
	// Truncated says that the body is longer than what is shown.
	Truncated   bool   `json:"truncated,omitempty"`
	Bytes       int    `json:"bytes"`
	SHA256      string `json:"sha256"`
	ContentType string `json:"content_type,omitempty"`
	// Exact says that these are the bytes of the last attempt: their digests are
	// the same. Where it is false they were rendered anew, and what was sent was
	// something else.
	Exact bool `json:"exact"`
}

// details answers deliveries in full, in their order. What cannot be read is
// said of the delivery that it belongs to.
func (s *Server) details(ctx context.Context, rows []carillon.Delivery, x expansion) ([]deliveryDetailView, error) {
	ctx, stop := context.WithTimeout(ctx, expandTimeout)
	defer stop()
	views := make([]deliveryDetailView, len(rows))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(historiesAtOnce)
	for i, row := range rows {
		group.Go(func() (err error) {
			views[i], err = s.detail(ctx, row, x)
			return err
		})
	}
	return views, group.Wait()
}

// detail answers a delivery with its attempts, and its payload if that is asked
// for.
func (s *Server) detail(ctx context.Context, d carillon.Delivery, x expansion) (deliveryDetailView, error) {
	view := deliveryDetailView{deliveryView: s.viewDelivery(d)}
	attempts, err := s.attempts(ctx, d)
	note, away := historyNote(err)
	switch {
	case away:
		view.Note = note
		return view, nil
	case err != nil:
		return view, err
	case attempts == nil:
		attempts = []carillon.Attempt{}
	}
	for i := range attempts {
		attempts[i].EventID = d.EventID // not recorded for an attempt that broke off
	}
	view.Attempts = attempts
	if !x.payload {
		return view, nil
	}
	payload, err := s.payload(ctx, d)
	if note, known := payloadNote(err); known {
		view.Note = note
		return view, nil
	}
	if err != nil {
		return view, err
	}
	shown := payloadView{
		Body: string(payload.Body), Bytes: len(payload.Body), SHA256: digest(payload.Body), ContentType: payload.ContentType,
	}
	if len(payload.Body) > maxShownPayload {
		shown.Body, shown.Truncated = strings.ToValidUTF8(string(payload.Body[:maxShownPayload]), ""), true
	}
	shown.Exact = shown.SHA256 == lastSent(attempts)
	view.Payload = &shown
	return view, nil
}

// payloadNote says why there is no payload to show, when that is no fault.
func payloadNote(err error) (string, bool) {
	if note, ok := historyNote(err); ok {
		return note, true
	}
	if code := carillon.CodeOf(err); err != nil && (code == carillon.CodeNotFound || code == carillon.CodeConflict) {
		return newProblem(err).Detail, true
	}
	return "", false
}

// payload renders what the delivery's subscription makes of its event now.
func (s *Server) payload(ctx context.Context, d carillon.Delivery) (formats.Payload, error) {
	sub, err := s.deps.Store.Subscription(ctx, d.SubscriptionID)
	if err != nil {
		return formats.Payload{}, err
	}
	event, err := s.deps.Store.Event(ctx, d.EventID)
	if err != nil {
		return formats.Payload{}, err
	}
	ctx, stop := context.WithTimeout(ctx, historyTimeout)
	defer stop()
	pub, err := s.deps.History.Publication(ctx, event.Run, d.EventID)
	if err != nil {
		return formats.Payload{}, err
	}
	return s.payloadOf(sub, pub.Event)
}

// payloadOf renders an event as the subscription's channel would send it.
func (s *Server) payloadOf(sub carillon.Subscription, event carillon.Event) (formats.Payload, error) {
	renderer, ok := s.deps.Channels[sub.Channel].(channels.Renderer)
	if !ok {
		return formats.Payload{}, carillon.Errorf(carillon.CodeConflict, "the channel %s shows no payload", sub.Channel)
	}
	payload, err := renderer.Payload(channels.Message{
		Event: event, Batch: gatheredAlone(sub, event), Endpoint: sub.Endpoint, Format: sub.Format, FormatOptions: sub.FormatOptions,
	})
	if err != nil {
		return formats.Payload{}, carillon.Errorf(carillon.CodeConflict, "%s", err)
	}
	return payload, nil
}

func digest(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

// lastSent returns the digest of the payload that was sent last; empty when
// none was.
func lastSent(attempts []carillon.Attempt) string {
	for _, a := range slices.Backward(attempts) {
		if a.Request != nil && a.Request.PayloadSHA256 != "" {
			return a.Request.PayloadSHA256
		}
	}
	return ""
}

// asSent returns the digest of what was sent last, which the subscription must
// still make of the event: no payload is kept, and a digest cannot be sent.
func (s *Server) asSent(ctx context.Context, d carillon.Delivery) (string, error) {
	attempts, err := s.attempts(ctx, d)
	if err != nil {
		return "", err
	}
	sent := lastSent(attempts)
	if sent == "" {
		return "", carillon.Errorf(carillon.CodeConflict, "nothing was sent yet, so there is nothing to send as it was: render it anew")
	}
	payload, err := s.payload(ctx, d)
	if err != nil {
		return "", err
	}
	if digest(payload.Body) != sent {
		return "", carillon.Errorf(carillon.CodeConflict,
			"what was sent cannot be made again: the subscription's format was changed since, or the event went with others in one request; render it anew")
	}
	return sent, nil
}
