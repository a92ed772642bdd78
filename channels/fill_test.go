package channels

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

type pagerEndpoint struct {
	Host  string   `json:"host"`
	Port  int      `json:"port,omitempty"`
	Key   string   `json:"key,omitempty"`
	Kind  string   `json:"kind"`
	To    []string `json:"to"`
	Loud  bool     `json:"loud,omitempty"`
	Inner struct {
		Text string `json:"text,omitempty"`
		Pass string `json:"pass,omitempty"`
	} `json:"inner,omitzero"`
}

type setting struct {
	kept carillon.Endpoint
	err  error
}

func (s setting) Setting(context.Context, string) (carillon.Endpoint, error) { return s.kept, s.err }

func pager(s Settings) described[pagerEndpoint] {
	return described[pagerEndpoint]{settings: s, about: Description{Name: "pager", Fields: []Field{
		{Name: "host", Type: Text, Required: true, Shared: true, Moves: true, Example: "pager.example.com"},
		{Name: "port", Type: Integer, Default: json.RawMessage(`80`), Min: 1, Max: 65535, Shared: true, Moves: true},
		{Name: "key", Type: Text, Secret: true, Shared: true},
		{Name: "kind", Type: Text, Values: []string{"tone", "text"}, Default: json.RawMessage(`"tone"`)},
		{Name: "to", Type: Texts, Required: true, Max: 2, Example: `["7"]`},
		{Name: "loud", Type: Boolean},
		{Name: "inner", Type: Object, Fields: []Field{{Name: "text", Type: LongText, Max: 9}, {Name: "pass", Type: Text, Secret: true}}},
	}}}
}

func TestAnEndpointIsReadAsItsFieldsSay(t *testing.T) {
	t.Parallel()
	kept, shown, err := pager(nil).Prepare(json.RawMessage(`{"host":"a.example.com","to":["7"],"inner":{"text":"a\nb"}}`), nil)
	require.NoError(t, err)
	require.Nil(t, shown)
	require.JSONEq(t, `{"host":"a.example.com","kind":"tone","to":["7"],"inner":{"text":"a\nb"}}`, string(kept))
}

func TestEveryFieldThatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	_, _, err := pager(nil).Prepare(json.RawMessage(
		`{"port":70000,"kind":"smoke","key":"a\nb","to":["1","2","3"],"loud":"yes","inner":{"text":"0123456789","more":1},"colour":"red"}`), nil)
	found, ok := errors.AsType[*carillon.Error](err)
	require.True(t, ok)
	details := map[string]string{}
	for _, p := range found.Problems {
		details[p.Pointer] = p.Detail
	}
	require.Equal(t, map[string]string{
		"/endpoint/colour":     "is no field of it; there are host, port, key, kind, to, loud, inner",
		"/endpoint/port":       "must be from 1 to 65535",
		"/endpoint/key":        "must be one line, without control characters",
		"/endpoint/kind":       "must be one of tone, text",
		"/endpoint/to":         "has 3 entries, 1 to 2 are allowed",
		"/endpoint/loud":       "must be true or false",
		"/endpoint/inner/text": "is 10 bytes long, at most 9 are allowed",
		"/endpoint/inner/more": "is no field of it; there are text, pass",
	}, details)
}

func TestSecretsAreMaskedAndKeptForTheSamePlaceOnly(t *testing.T) {
	t.Parallel()
	p := pager(nil)
	kept, _, err := p.Prepare(json.RawMessage(`{"host":"a.example.com","key":"marked-secret","to":["7"],"inner":{"pass":"marked-inner"}}`), nil)
	require.NoError(t, err)
	redacted := p.Redact(kept)
	require.NotContains(t, string(redacted), "marked")
	again, _, err := p.Prepare(redacted, kept)
	require.NoError(t, err)
	require.JSONEq(t, string(kept), string(again))

	for _, moved := range []string{
		`{"host":"b.example.com","key":"•••• cret","to":["7"]}`,
		`{"host":"a.example.com","port":81,"key":"•••• cret","to":["7"]}`,
		`{"host":"b.example.com","to":["7"],"inner":{"pass":"•••• nner"}}`,
	} {
		_, _, err = p.Prepare(json.RawMessage(moved), kept)
		require.ErrorContains(t, err, "must be given again", moved)
	}
	_, _, err = p.Prepare(redacted, nil)
	require.ErrorContains(t, err, "/endpoint/key: is not the mask of the stored value")
}

func TestWhatIsLeftOutComesFromTheInstallation(t *testing.T) {
	t.Parallel()
	p := pager(setting{kept: carillon.Endpoint(`{"host":"shared.example.com","port":81,"key":"marked-shared"}`)})
	for own, want := range map[string]string{
		`{"to":["7"]}`: `{"to":["7"],"host":"shared.example.com","port":81,"key":"marked-shared"}`,
		// Its own host gets nothing of the installation's, its secrets least of all.
		`{"host":"own.example.com","to":["7"]}`: `{"host":"own.example.com","port":80,"to":["7"]}`,
	} {
		merged, err := p.completed(t.Context(), carillon.Endpoint(own))
		require.NoError(t, err)
		require.JSONEq(t, want, string(merged))
		require.NoError(t, p.Complete(t.Context(), carillon.Endpoint(own)))
	}
	require.ErrorContains(t, pager(setting{}).Complete(t.Context(), carillon.Endpoint(`{"to":["7"]}`)), "/endpoint/host: is required")
	away := errors.New("away")
	require.ErrorIs(t, pager(setting{err: away}).Complete(t.Context(), carillon.Endpoint(`{"to":["7"]}`)), away)
}

func TestASettingHasTheSharedFieldsOnly(t *testing.T) {
	t.Parallel()
	p := pager(nil)
	require.Equal(t, []string{"host", "port", "key"}, names(shared(p.about.Fields)))
}
