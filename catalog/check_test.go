package catalog

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestCheckData(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		typ  string
		data string
		want []carillon.Problem // empty: good
	}{
		{"the least that says something", "package.added", `{"package":"left-pad"}`, nil},
		{"keys that the schema does not name", "package.added", `{"package":"left-pad","x":{"y":[1]}}`, nil},
		{"a version that is none", "package.added", `{"package":"a","version":"(≥ 2.0 < 3)"}`, nil},
		{"metadata that the registry does not know", "package.added", `{"package":"a","metadata":null}`, nil},
		{"a list of authors", "package.added", `{"package":"a","metadata":{"authors":["b","c"]}}`, nil},
		{"a score as a number", "sca.vulnerability_detected", `{"score":7.5}`, nil},
		{"a score as a text", "sca.vulnerability_detected", `{"score":"7.5"}`, nil},
		{"no package", "package.added", `{"version":"1"}`, []carillon.Problem{
			{Pointer: "/data/package", Detail: "is required"},
		}},
		{"an empty package", "package.added", `{"package":""}`, []carillon.Problem{
			{Pointer: "/data/package", Detail: "minLength: got 0, want 1"},
		}},
		{"wrong types, each told", "package.added", `{"package":1,"version":1.0,"cached":"yes"}`, []carillon.Problem{
			{Pointer: "/data/cached", Detail: "must be boolean, not string"},
			{Pointer: "/data/package", Detail: "must be string, not number"},
			{Pointer: "/data/version", Detail: "must be string, not number"},
		}},
		{"deep inside", "package.pushed", `{"package":"a","metadata":{"dependencies":[{},{"package":[]}]}}`, []carillon.Problem{
			{Pointer: "/data/metadata/dependencies/1/package", Detail: "must be string, not array"},
		}},
		{"a rule of the type itself beside a shared one", "package.listed", `{"action":"unlisted"}`, []carillon.Problem{
			{Pointer: "/data/action", Detail: "value must be 'listed'"},
			{Pointer: "/data/package", Detail: "is required"},
		}},
		{"a score that is no number", "sca.vulnerability_detected", `{"score":"high"}`, []carillon.Problem{
			{Pointer: "/data/score", Detail: `'high' does not match pattern '^[0-9]+(\\.[0-9]+)?$'`},
		}},
		{"no object", "ping", `"hello"`, []carillon.Problem{{Pointer: "/data", Detail: "must be object, not string"}}},
		{"a list", "package.added", `[]`, []carillon.Problem{{Pointer: "/data", Detail: "must be object, not array"}}},
		{"null", "ping", `null`, []carillon.Problem{{Pointer: "/data", Detail: "must be object, not null"}}},
		{"nothing", "ping", ``, []carillon.Problem{{Pointer: "/data", Detail: "must be a JSON object"}}},
	}
	c := load(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := c.CheckData(carillon.Event{Type: test.typ, Data: json.RawMessage(test.data)})
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			require.Equal(t, test.want, problems(t, err))
		})
	}
}

func TestCheckDataOfAnUnknownTypeSaysWhatIsNear(t *testing.T) {
	t.Parallel()
	err := load(t).CheckData(carillon.Event{Type: "package.add", Data: json.RawMessage(`{}`)})
	require.Equal(t, "/type", problems(t, err)[0].Pointer)
}

func TestCheckDataTellsAFewProblemsOfMany(t *testing.T) {
	t.Parallel()
	data := `{"issues":[` + strings.TrimSuffix(strings.Repeat(`{"detail":1},`, 1000), ",") + `]}`
	err := load(t).CheckData(carillon.Event{Type: "build.issues_opened", Data: json.RawMessage(data)})
	require.Len(t, problems(t, err), maxProblems)
}

func TestCheckDataQuotesLongValuesInPart(t *testing.T) {
	t.Parallel()
	data := `{"score":"` + strings.Repeat("x", 100_000) + `"}`
	err := load(t).CheckData(carillon.Event{Type: "sca.vulnerability_detected", Data: json.RawMessage(data)})
	require.LessOrEqual(t, len(problems(t, err)[0].Detail), carillon.MaxErrorBytes)
}

func TestPointersAreEscaped(t *testing.T) {
	t.Parallel()
	require.Equal(t, "/data/a~1b/c~0d/0", pointer([]string{"a/b", "c~d", "0"}))
}
