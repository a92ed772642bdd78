package api

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
)

// readGathering reads how a subscription's events are gathered. What is not given is
// the profile's, where the format can carry several events.
func (s *Server) readGathering(f *fields, sub *carillon.Subscription) {
	sub.Batch = carillon.Batch{}
	raw := f.raw("batch")
	can := s.deps.Channels.ForPeople(sub.Channel) || sub.Channel == webhookChannel && formats.Batches(sub.Format, sub.FormatOptions)
	profile, _ := carillon.LookupProfile(sub.Profile)
	implied := carillon.Batch{Window: profile.Window, Max: carillon.DefaultBatchMax}
	switch {
	case raw == nil && can && !implied.IsZero():
		sub.Batch = implied
		return
	case raw == nil:
		return
	case !can:
		f.wrong("batch", "is for channels that write for people, and for the channel %s in a format that can carry several events in one "+
			"request: %s (cloudevents in structured mode)", webhookChannel, strings.Join(formats.BatchNames(), ", "))
		return
	}
	b := readFields(f.at+"/batch", raw)
	batch := carillon.Batch{Max: carillon.DefaultBatchMax}
	text := b.required("window", maxNameBytes)
	if text != "" && batch.Window.UnmarshalText([]byte(text)) != nil {
		b.wrong("window", "must be a duration such as 5s or 2m")
	} else if window := time.Duration(batch.Window); text != "" && (window < carillon.MinWindow || window > carillon.MaxWindow) {
		b.wrong("window", "must be %s to %s", carillon.Duration(carillon.MinWindow), carillon.Duration(carillon.MaxWindow))
	}
	if most := b.raw("max"); most != nil {
		if json.Unmarshal(most, &batch.Max) != nil || batch.Max < 1 || batch.Max > carillon.MaxBatchMax {
			b.wrong("max", "must be a number of events from 1 to %d", carillon.MaxBatchMax)
		}
	}
	// done makes no errors but about the input.
	_ = f.include("batch", b.done())
	sub.Batch = batch
}

// readPerMinute reads how many messages a minute a channel that writes for
// people sends at most.
func (s *Server) readPerMinute(f *fields, sub *carillon.Subscription) {
	sub.MaxPerMinute = 0
	people := s.deps.Channels.ForPeople(sub.Channel)
	if people {
		sub.MaxPerMinute = carillon.DefaultPerMinute
	}
	raw := f.raw("max_per_minute")
	switch {
	case raw == nil:
	case !people:
		f.wrong("max_per_minute", "is for channels that write for people")
	case json.Unmarshal(raw, &sub.MaxPerMinute) != nil || sub.MaxPerMinute < 1 || sub.MaxPerMinute > carillon.MaxPerMinute:
		f.wrong("max_per_minute", "must be a number of messages from 1 to %d", carillon.MaxPerMinute)
	}
}

// gatheredAlone is what a sender is given for one event of a subscription with
// batches: a batch of it alone.
func gatheredAlone(sub carillon.Subscription, event carillon.Event) []carillon.Event {
	if sub.Batch.IsZero() {
		return nil
	}
	return []carillon.Event{event}
}
