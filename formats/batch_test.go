package formats_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/formats"
)

func TestFormatsThatCarrySeveralEvents(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"standard", "cloudevents", "codescoring"}, formats.BatchNames())
	require.False(t, formats.Batches("cloudevents", json.RawMessage(`{"mode":"binary"}`)))
	require.False(t, formats.Batches("custom", nil))
	single := func(body string) formats.Payload { return formats.Payload{Body: []byte(body), ContentType: "x"} }
	for name, want := range map[string]struct{ one, two, joined, contentType string }{
		"standard":    {`{"id":"1"}`, `{"id":"2"}`, `[{"id":"1"},{"id":"2"}]`, "application/json"},
		"cloudevents": {`{"id":"1"}`, `{"id":"2"}`, `[{"id":"1"},{"id":"2"}]`, "application/cloudevents-batch+json"},
		"codescoring": {
			`{"events":[{"trigger":"a"}]}`, `{"events":[{"trigger":"b","payload":{"x":[{}]}}]}`,
			`{"events":[{"trigger":"a"},{"trigger":"b","payload":{"x":[{}]}}]}`, "application/json",
		},
	} {
		format, ok := formats.Lookup(name)
		require.True(t, ok)
		joined := format.(formats.Batcher).Join([]formats.Payload{single(want.one), single(want.two)})
		require.Equal(t, want.joined, string(joined.Body), name)
		require.Equal(t, want.contentType, joined.ContentType, name)
	}
	codescoring, _ := formats.Lookup("codescoring")
	one := single(`{"events":[{"trigger":"a"}]}`)
	require.Equal(t, one.Body, codescoring.(formats.Batcher).Join([]formats.Payload{one}).Body, "one event is written as ever")
}
