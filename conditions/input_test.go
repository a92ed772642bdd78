package conditions_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

func TestNewInputRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	nested := func(levels int) string {
		return `{"a":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + "}"
	}
	for _, c := range []struct{ name, data, want string }{
		{"no data", ``, ""},
		{"an empty object", `{}`, ""},
		{"white space around", " {} \n", ""},
		{"the deepest data", nested(carillon.MaxJSONDepth), ""},
		{"one level too deep", nested(carillon.MaxJSONDepth + 1), "nested deeper than 32 levels"},
		{"ten thousand levels", strings.Repeat("[", 10_001), "is not JSON"},
		{"a list", `[]`, "must be a JSON object"},
		{"null", `null`, "must be a JSON object"},
		{"a text", `"x"`, "must be a JSON object"},
		{"half an object", `{"a":`, "is not JSON"},
		{"two objects", `{} {}`, "more than one JSON value"},
		{"an object and rubbish", `{} x`, "more than one JSON value"},
		{"too much", `{"a":"` + strings.Repeat("a", carillon.MaxEventBytes) + `"}`, "at most 262144 are allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := conditions.NewInput(carillon.Event{Data: json.RawMessage(c.data)})
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
			require.ErrorContains(t, err, "/data: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}
