package formats_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
)

func TestEveryNameFindsItsFormat(t *testing.T) {
	t.Parallel()
	require.Contains(t, formats.Names(), "standard")
	for _, name := range formats.Names() {
		f, ok := formats.Lookup(name)
		require.True(t, ok, name)
		require.Equal(t, name, f.Name())
	}
	_, ok := formats.Lookup("Standard")
	require.False(t, ok)
}

func TestStandardWritesTheEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 21, 0, 0, 0, time.FixedZone("CET", 3600))
	for name, tc := range map[string]struct {
		event carillon.Event
		want  string
	}{
		"every field, in order": {
			event: carillon.Event{
				ID: "evt_1", Type: "package.added", Source: "registry.example.com", Actor: "maartenba",
				Scope: map[string]string{"project": "b", "feed": "internal-utils"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
				Time: at, Data: json.RawMessage(`{"package":"MyCorp.CoolUtils","version":"3.2.0"}`),
			},
			want: `{"id":"evt_1","type":"package.added","timestamp":"2026-11-21T20:00:00Z","source":"registry.example.com",` +
				`"actor":"maartenba","scope":{"feed":"internal-utils","project":"b"},"subject":"pkg:nuget/MyCorp.CoolUtils@3.2.0",` +
				`"data":{"package":"MyCorp.CoolUtils","version":"3.2.0"}}`,
		},
		"empty fields are left out": {
			event: carillon.Event{ID: "evt_1", Type: "ping", Source: "s", Time: at, Data: json.RawMessage(`{}`)},
			want:  `{"id":"evt_1","type":"ping","timestamp":"2026-11-21T20:00:00Z","source":"s","data":{}}`,
		},
		"data keeps its key order, its digits and its characters": {
			event: carillon.Event{
				ID: "evt_1", Type: "ping", Source: "s", Subject: "pkg:npm/x@1?a=<b>&c", Time: at.Add(1500 * time.Microsecond),
				Data: json.RawMessage("{ \"z\": 1.10,\n \"a\": 12345678901234567890, \"t\": \"<&>\\u00e9é\" }"),
			},
			want: `{"id":"evt_1","type":"ping","timestamp":"2026-11-21T20:00:00.0015Z","source":"s","subject":"pkg:npm/x@1?a=<b>&c",` +
				`"data":{"z":1.10,"a":12345678901234567890,"t":"<&>\u00e9é"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := formats.Lookup("standard")
			payload, err := f.Render(formats.Request{Event: tc.event})
			require.NoError(t, err)
			require.Equal(t, "application/json", payload.ContentType)
			require.Equal(t, tc.want, string(payload.Body))
			again, err := f.Render(formats.Request{Event: tc.event})
			require.NoError(t, err)
			require.Equal(t, payload, again)
		})
	}
}

func TestStandardRefusesDataThatIsNoJSON(t *testing.T) {
	t.Parallel()
	f, _ := formats.Lookup("standard")
	_, err := f.Render(formats.Request{Event: carillon.Event{ID: "evt_1", Data: json.RawMessage(`{"marked":`)}})
	require.ErrorContains(t, err, "cannot be written")
	require.NotContains(t, err.Error(), "marked")
}
