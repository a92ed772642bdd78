package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// secretKeys says which keys the secrets in the database are sealed with, by
// their ids.
func (d *doctor) secretKeys(ctx context.Context) finding {
	if d.store == nil {
		return noDatabase
	}
	if d.ring == nil {
		return finding{verdict: skipped, text: "it needs CARILLON_SECRET_KEY"}
	}
	counts, err := d.store.SealedKeys(ctx)
	if err != nil {
		return finding{verdict: failed, text: err.Error(), remedy: "see the database's log"}
	}
	return judgeKeys(d.ring.Keys(), counts)
}

// judgeKeys judges how many secrets are sealed with which keys; have are those
// that are configured, the newest first.
func judgeKeys(have []string, counts map[string]int) finding {
	total, newest := 0, have[0]
	var older, lost, free []string
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		total += counts[id]
		switch {
		case id == newest:
		case slices.Contains(have, id):
			older = append(older, fmt.Sprintf("%d with %s", counts[id], id))
		default:
			lost = append(lost, fmt.Sprintf("%d with %s", counts[id], id))
		}
	}
	for _, id := range have[1:] {
		if counts[id] == 0 {
			free = append(free, id)
		}
	}
	text := fmt.Sprintf("%d of %d secrets are sealed with the newest, %s", counts[newest], total, newest)
	switch {
	case len(lost) > 0:
		return finding{
			verdict: failed, text: text + "; of keys that are not configured: " + strings.Join(lost, ", "),
			remedy: "add these keys to CARILLON_SECRET_KEY, behind the first and a comma; where one is lost, enter the secrets anew",
		}
	case len(older) > 0:
		return finding{verdict: warning, text: text + ", " + strings.Join(older, ", "), remedy: "carillon rotate-keys"}
	case len(free) > 0:
		return finding{
			verdict: warning, text: text + ", none with " + strings.Join(free, ", "),
			remedy: "once every process has the newest in front, take the others out of CARILLON_SECRET_KEY",
		}
	}
	return ok("%s", text)
}

// payloads says how what Temporal keeps of runs is sealed.
func (d *doctor) payloads() finding {
	keys := d.codec.Keys()
	switch {
	case d.codec.Seals():
		return ok("what Temporal keeps of runs is sealed with %s; %d keys open it", keys[0], len(keys))
	case len(keys) > 0:
		return ok("what Temporal keeps of new runs is readable; %d keys open what was sealed", len(keys))
	}
	return ok("whoever may read the Temporal namespace reads events; CARILLON_CODEC_KEY seals them")
}
