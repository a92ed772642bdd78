package main

import (
	"fmt"
	"strings"

	"github.com/carillon-dev/carillon"
)

// source is the producer of every event here.
const source = "registry.example.com"

// Feeds that subscriptions choose events by.
const (
	feed      = "internal-utils"
	otherFeed = "partners"
)

// event is one to publish.
type event struct {
	// key is what the producer calls it, and id what Carillon does.
	key, id string
	feed    string
}

// events makes n events that no others share their ids with, as long as the
// series has a name of its own.
func events(series, feed string, n int) []event {
	all := make([]event, n)
	for i := range all {
		key := fmt.Sprintf("%s-%06d", series, i)
		all[i] = event{key: key, id: carillon.EventID(source, key), feed: feed}
	}
	return all
}

// filler makes an event about 1 KB, as a registry's are with a description and
// dependencies.
var filler = strings.Repeat("Helps with the plumbing that every service of ours has. ", 7)

// body is a package.added of about 1 KB.
func (e event) body() []byte {
	return fmt.Appendf(nil, `{"id":%q,"type":"package.added","source":%q,"actor":"build-bot",`+
		`"scope":{"feed":%q},"subject":"pkg:nuget/MyCorp.CoolUtils@3.2.0","time":"2026-11-21T20:00:00Z",`+
		`"data":{"package":"MyCorp.CoolUtils","version":"3.2.0","package_type":"nuget",`+
		`"feed_url":"https://registry.example.com/F/internal-utils/",`+
		`"details_url":"https://registry.example.com/feed/internal-utils/package/MyCorp.CoolUtils/3.2.0",`+
		`"metadata":{"size":61580,"authors":"MyCorp","description":%q,"tags":"utils internal",`+
		`"dependencies":[{"package":"MyCorp.Core","version":"(>= 2.0.5364)","target_framework":"net9.0"}]}}}`,
		e.key, source, e.feed, filler)
}
