package conditions_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

func TestFieldsCompileToAnExpression(t *testing.T) {
	t.Parallel()
	env, err := conditions.New()
	require.NoError(t, err)
	tests := []struct {
		name      string
		match     carillon.Match
		condition string
		want      string
	}{
		{"nothing", carillon.Match{}, "", ""},
		{"a condition alone", carillon.Match{}, "actor == 'x'", "actor == 'x'"},
		{"never", carillon.Match{Mode: carillon.MatchNever, Package: "x"}, "actor == 'x'", "false"},
		{"a name", carillon.Match{Package: "MyCorp.*"}, "", "(pkg.published_name.glob('MyCorp.*') || pkg.name.glob('MyCorp.*'))"},
		{"a name with its namespace", carillon.Match{Package: "@angular/*"}, "", "(pkg.published_name.glob('@angular/*') || pkg.full_name.glob('@angular/*'))"},
		{"a name with quotes", carillon.Match{Package: `a'b\c`}, "", `(pkg.published_name.glob('a\'b\\c') || pkg.name.glob('a\'b\\c'))`},
		{"a regular expression", carillon.Match{Package: `re:^My\.[A-Z]+$`}, "",
			`(pkg.published_name.matches('^My\\.[A-Z]+$') || pkg.name.matches('^My\\.[A-Z]+$'))`},
		{"a version", carillon.Match{Version: "3.0.*"}, "", "pkg.published_version.glob('3.0.*')"},
		{"a version's expression", carillon.Match{Version: "re:^3"}, "", "pkg.published_version.matches('^3')"},
		{"a range", carillon.Match{Version: ">=1.2 <2"}, "", "pkg.published_version.semver_in('>=1.2 <2')"},
		{"an interval", carillon.Match{Version: "[1.0,2.0)"}, "", "pkg.published_version.in_interval('[1.0,2.0)')"},
		{"a score", carillon.Match{MinScore: new(7.5)}, "", "has(data.score) && data.score != null && double(data.score) >= 7.5"},
		{"projects", carillon.Match{ProjectIDs: []int64{1, 2}}, "", "has(data.project_id) && data.project_id != null && string(data.project_id) in ['1', '2']"},
		{"all of it", carillon.Match{Package: "a*", Version: "1.*", MinScore: new(7.0)}, "actor == 'x' || actor == 'y'",
			"(pkg.published_name.glob('a*') || pkg.name.glob('a*')) && pkg.published_version.glob('1.*') && has(data.score) && data.score != null && double(data.score) >= 7 && (actor == 'x' || actor == 'y')"},
		{"a condition with a comment", carillon.Match{Package: "a"}, "actor == 'x' // me",
			"(pkg.published_name.glob('a') || pkg.name.glob('a')) && (actor == 'x' // me\n)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := conditions.Effective(test.match, test.condition)
			require.Equal(t, test.want, got)
			_, err := env.Compile(got)
			require.NoError(t, err)
		})
	}
}

func TestWhatFieldsMatch(t *testing.T) {
	t.Parallel()
	env, err := conditions.New()
	require.NoError(t, err)
	const (
		image = "pkg:oci/hello@sha256:244fd47e07d1004f0aed9c156aa09083c82bf8944eceb67c946ff7430510a77b"
		hello = `{"package":"acme/hello","version":"v1.5.0","package_type":"oci"}`
	)
	tests := []struct {
		name  string
		match carillon.Match
		purl  string
		data  string
		want  bool
	}{
		{"a pattern is anchored", carillon.Match{Package: "MyCorp.*"}, "pkg:nuget/XMyCorp.Utils@1.0.0", `{}`, false},
		{"in any case", carillon.Match{Package: "mycorp.*"}, "pkg:nuget/MyCorp.Utils@1.0.0", `{}`, true},
		{"a dot is a dot", carillon.Match{Package: "a.b"}, "pkg:nuget/axb@1.0.0", `{}`, false},
		{"a question mark is one character", carillon.Match{Package: "a?b"}, "pkg:nuget/axb@1.0.0", `{}`, true},
		{"one, not none", carillon.Match{Package: "a?b"}, "pkg:nuget/ab@1.0.0", `{}`, false},
		{"low end in", carillon.Match{Version: "[1.0,2.0)"}, "pkg:nuget/a@1.0.0", `{}`, true},
		{"high end out", carillon.Match{Version: "[1.0,2.0)"}, "pkg:nuget/a@2.0.0", `{}`, false},
		{"a pre-release within", carillon.Match{Version: "[1.0,2.0)"}, "pkg:nuget/a@1.5.0-beta", `{}`, true},
		{"a pre-release before", carillon.Match{Version: "[1.0,2.0)"}, "pkg:nuget/a@1.0.0-beta", `{}`, false},
		{"low end out", carillon.Match{Version: "(1.0,]"}, "pkg:nuget/a@1.0.0", `{}`, false},
		{"one version", carillon.Match{Version: "[1.0]"}, "pkg:nuget/a@1.0.0", `{}`, true},
		{"not another", carillon.Match{Version: "[1.0]"}, "pkg:nuget/a@1.0.1", `{}`, false},
		{"no version", carillon.Match{Version: "(,2.0]"}, "pkg:nuget/a@latest", `{}`, false},
		{"open below", carillon.Match{Version: "(,2.0]"}, "pkg:nuget/a@0.1.0", `{}`, true},
		{"a range", carillon.Match{Version: ">=1.2"}, "pkg:nuget/a@1.10.0", `{}`, true},
		{"a score that is enough", carillon.Match{MinScore: new(7.5)}, "", `{"score":7.5}`, true},
		{"a score as text", carillon.Match{MinScore: new(7.5)}, "", `{"score":"9.8"}`, true},
		{"a low score", carillon.Match{MinScore: new(7.5)}, "", `{"score":7.4}`, false},
		{"no score", carillon.Match{MinScore: new(0.0)}, "", `{}`, false},
		{"a project", carillon.Match{ProjectIDs: []int64{7}}, "", `{"project_id":7}`, true},
		{"another project", carillon.Match{ProjectIDs: []int64{7}}, "", `{"project_id":8}`, false},
		{"no project", carillon.Match{ProjectIDs: []int64{7}}, "", `{}`, false},
		{"a null score", carillon.Match{MinScore: new(0.0)}, "", `{"score":null}`, false},
		{"a project's id as text", carillon.Match{ProjectIDs: []int64{7}}, "", `{"project_id":"7"}`, true},
		{"a null project", carillon.Match{ProjectIDs: []int64{7}}, "", `{"project_id":null}`, false},
		{"an image by the name of its repository", carillon.Match{Package: "acme/*", Version: "v*"}, image, hello, true},
		{"an image by the name in its purl", carillon.Match{Package: "hello"}, image, hello, true},
		{"an image of another repository", carillon.Match{Package: "other/*"}, image, hello, false},
		{"an image's tag in a range", carillon.Match{Version: ">=1"}, image, hello, true},
		{"an image's tag in an interval", carillon.Match{Version: "[1.0,2.0)"}, image, hello, true},
		{"a name that its purl writes otherwise", carillon.Match{Package: "My_Pkg"}, "pkg:pypi/my-pkg@1.0", `{"package":"My_Pkg"}`, true},
		{"a name as its purl writes it", carillon.Match{Package: "my-pkg"}, "pkg:pypi/my-pkg@1.0", `{"package":"My_Pkg"}`, true},
		{"a version that the purl lacks", carillon.Match{Version: "3.*"}, "pkg:nuget/a", `{"version":"3.1.0"}`, true},
		{"a version that data lacks", carillon.Match{Version: "3.*"}, "pkg:nuget/a@3.1.0", `{}`, true},
		{"four numbers", carillon.Match{Version: "[1.0,1.2.3.4]"}, "pkg:nuget/a@1.2.3.4", `{}`, true},
		{"the fourth number counts", carillon.Match{Version: "[1.0,1.2.3.4]"}, "pkg:nuget/a@1.2.3.5", `{}`, false},
		{"a pre-release of four numbers", carillon.Match{Version: "[1.0,1.2.3.4)"}, "pkg:nuget/a@1.2.3.4-rc.1", `{}`, true},
		{"pre-releases in any case", carillon.Match{Version: "[1.0.0-BETA.2,)"}, "pkg:nuget/a@1.0.0-beta.10", `{}`, true},
		{"letters after numbers", carillon.Match{Version: "(,1.0.0-1]"}, "pkg:nuget/a@1.0.0-a", `{}`, false},
		{"metadata does not count", carillon.Match{Version: "[1.0]"}, "pkg:nuget/a@1.0.0%2Bbuild", `{}`, true},
		{"never", carillon.Match{Mode: carillon.MatchNever}, "", `{}`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			condition, err := env.Compile(conditions.Effective(test.match, ""))
			require.NoError(t, err)
			in, err := conditions.NewInput(carillon.Event{Type: "package.added", Subject: test.purl, Data: json.RawMessage(test.data)})
			require.NoError(t, err)
			got, err := condition.Match(t.Context(), in)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestFieldsThatAreWrong(t *testing.T) {
	t.Parallel()
	long := make([]byte, conditions.MaxPatternBytes+1)
	for i := range long {
		long[i] = 'a'
	}
	ids := make([]int64, carillon.MaxProjectIDs+1)
	tests := []struct {
		name    string
		match   carillon.Match
		pointer string
		column  int
		detail  string
	}{
		{"an unknown mode", carillon.Match{Mode: "sometimes"}, "/mode", 0, "always, never, conditionally"},
		{"always with a field", carillon.Match{Mode: carillon.MatchAlways, Package: "a"}, "/mode", 0, "leave the other fields out"},
		{"conditionally without", carillon.Match{Mode: carillon.MatchConditionally}, "/mode", 0, "needs package"},
		{"an empty regular expression", carillon.Match{Mode: "conditionally", Package: "re:"}, "/package", 1, "no regular expression"},
		{"an open bracket", carillon.Match{Mode: "conditionally", Package: "re:ab(c"}, "/package", 4, "missing closing )"},
		{"an open class", carillon.Match{Mode: "conditionally", Package: "re:ab[c"}, "/package", 6, "missing closing ]"},
		{"a repetition of nothing", carillon.Match{Mode: "conditionally", Version: "re:1.**"}, "/version", 6, "invalid nested repetition"},
		{"too long", carillon.Match{Mode: "conditionally", Package: string(long)}, "/package", 1, "at most 256"},
		{"a large regular expression", carillon.Match{Mode: "conditionally", Package: "re:(a{1,100}){1,9}"}, "/package", 4, "steps"},
		{"an interval without an end", carillon.Match{Mode: "conditionally", Version: "[1.0,2.0"}, "/version", 8, "ends with ] or )"},
		{"an interval of one open version", carillon.Match{Mode: "conditionally", Version: "(1.0)"}, "/version", 5, "two ends"},
		{"an interval without a version", carillon.Match{Mode: "conditionally", Version: "[one,2.0)"}, "/version", 2, "is no version such as 1.2"},
		{"an interval without another", carillon.Match{Mode: "conditionally", Version: "[1.0,two)"}, "/version", 6, "is no version such as 1.2"},
		{"an empty interval", carillon.Match{Mode: "conditionally", Version: "[2.0,1.0]"}, "/version", 1, "no version is in"},
		{"an interval of nothing", carillon.Match{Mode: "conditionally", Version: "[1.0,1.0)"}, "/version", 1, "no version is in"},
		{"a bracket alone", carillon.Match{Mode: "conditionally", Version: "["}, "/version", 1, "ends with ] or )"},
		{"a range that is none", carillon.Match{Mode: "conditionally", Version: ">=one"}, "/version", 1, "no version range"},
		{"a score above all", carillon.Match{Mode: "conditionally", MinScore: new(11.0)}, "/min_score", 0, "from 0 to 10"},
		{"too many projects", carillon.Match{Mode: "conditionally", ProjectIDs: ids}, "/project_ids", 0, "at most 100"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var e *carillon.Error
			require.ErrorAs(t, conditions.CheckMatch(test.match), &e)
			require.Len(t, e.Problems, 1)
			p := e.Problems[0]
			require.Equal(t, test.pointer, p.Pointer)
			require.Contains(t, p.Detail, test.detail)
			require.Equal(t, test.column, p.Column)
			require.Equal(t, test.column > 0, p.Line == 1)
		})
	}
}
