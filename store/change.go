package store

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/carillon-dev/carillon"
)

// subscriptionView is what the audit keeps of a subscription. The endpoint is
// left out as a whole: which of its parts are secret is its channel's to know.
type subscriptionView struct {
	Name           string                     `json:"name"`
	EventTypes     []string                   `json:"event_types"`
	Scope          map[string][]string        `json:"scope,omitempty"`
	Condition      string                     `json:"condition,omitempty"`
	Match          carillon.Match             `json:"match,omitzero"`
	IncludeCached  bool                       `json:"include_cached,omitempty"`
	Channel        string                     `json:"channel"`
	Format         string                     `json:"format"`
	FormatOptions  json.RawMessage            `json:"format_options,omitempty"`
	Profile        string                     `json:"profile"`
	Batch          carillon.Batch             `json:"batch,omitzero"`
	Retry          carillon.Retry             `json:"retry"`
	State          carillon.SubscriptionState `json:"state"`
	DisabledReason string                     `json:"disabled_reason,omitempty"`
	Version        int64                      `json:"version"`
}

func viewOf(sub carillon.Subscription) subscriptionView {
	return subscriptionView{
		Name: sub.Name, EventTypes: sub.EventTypes, Scope: sub.Scope, Condition: sub.Condition, Match: sub.Match,
		IncludeCached: sub.IncludeCached, Channel: sub.Channel, Format: sub.Format, FormatOptions: sub.FormatOptions,
		Profile: sub.Profile, Batch: sub.Batch, Retry: sub.Retry, State: sub.State, DisabledReason: sub.DisabledReason, Version: sub.Version,
	}
}

// changes names what differs between two versions of a subscription.
func changes(before, after carillon.Subscription) string {
	var names []string
	a, b := reflect.ValueOf(viewOf(before)), reflect.ValueOf(viewOf(after))
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		if name != "version" && asJSON(a.Field(i).Interface()) != asJSON(b.Field(i).Interface()) {
			names = append(names, name)
		}
	}
	if !bytes.Equal(before.Endpoint, after.Endpoint) {
		names = append(names, "endpoint")
	}
	if len(names) == 0 {
		return "changed nothing"
	}
	return "changed " + strings.Join(names, ", ")
}

func named(name string) string { return strconv.Quote(name) }
