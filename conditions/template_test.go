package conditions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// templateCase is one entry of testdata/templates/*.yaml.
type templateCase struct {
	Name     string          `yaml:"name"`
	Mode     conditions.Mode `yaml:"mode"`
	Value    bool            `yaml:"value"`
	Types    []string        `yaml:"types"`
	Template string          `yaml:"template"`
	Want     string          `yaml:"want"`
	// Error is compared by its beginning.
	Error string `yaml:"error"`
}

func (c templateCase) source() conditions.Source {
	mode := c.Mode
	if mode == "" {
		mode = conditions.Text
	}
	return conditions.Source{Text: c.Template, Mode: mode, Value: c.Value}
}

const hostile = "<b>\"'&=\n<!channel> ${x}"

func templateEvent() carillon.Event {
	data, err := json.Marshal(map[string]any{
		"vulnerability_id": "PGV-1", "severity": "High", "score": json.Number("7.50"), "summary": nil,
		"affected_packages": []any{
			map[string]any{"name": "nuget:Newtonsoft.Json", "affected_versions": "< 13.0.1"}, map[string]any{"name": "nuget:Other"},
		},
		"tags": []any{"a", "b"}, "big": json.Number("12345678901234567890"),
		"nested": map[string]any{"one": json.Number("1.0"), "big": json.Number("12345678901234567890")}, "nothing": nil,
		"long": strings.Repeat("x", 20_000), "hostile": hostile, "url": "https://example.com/?a=1&b=2", "script": "javascript:alert(1)",
	})
	if err != nil {
		panic(err)
	}
	return carillon.Event{
		ID: "evt_1", Type: "sca.vulnerability_detected", Source: "proget.example.com", Actor: "anna",
		Scope: map[string]string{"feed": "internal-utils", "team": "x"}, Subject: "pkg:nuget/Newtonsoft.Json@12.0.3",
		Time: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC), Data: data,
	}
}

func newTemplates(tb testing.TB) *conditions.Templates {
	tb.Helper()
	templates, err := conditions.LoadTemplates()
	require.NoError(tb, err)
	return templates
}

func templateInput(tb testing.TB, e carillon.Event) *conditions.Input {
	tb.Helper()
	input, err := conditions.NewTemplateInput(e)
	require.NoError(tb, err)
	return input
}

func problemText(p carillon.Problem) string {
	text := fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Detail)
	if p.Pointer != "" {
		text = p.Pointer + " " + text
	}
	return text
}

func TestTemplatesThatAreRefused(t *testing.T) {
	t.Parallel()
	var cases []templateCase
	readYAML(t, "testdata/templates/refused.yaml", &cases)
	require.GreaterOrEqual(t, len(cases), 30)
	templates := newTemplates(t)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			_, err := templates.Compile(c.source(), c.Types)
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err), "it must not compile")
			found, ok := errors.AsType[*carillon.Error](err)
			require.True(t, ok)
			require.NotEmpty(t, found.Problems)
			got := problemText(found.Problems[0])
			require.True(t, strings.HasPrefix(got, c.Error) && c.Error != "", "got  %s\nwant %s", got, c.Error)
		})
	}
}

func TestTemplatesAreWritten(t *testing.T) {
	t.Parallel()
	var cases []templateCase
	readYAML(t, "testdata/templates/written.yaml", &cases)
	templates := newTemplates(t)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			template, err := templates.Kept(c.source())
			require.NoError(t, err)
			input := templateInput(t, templateEvent())
			got, err := template.Render(t.Context(), input)
			if c.Error != "" {
				failed, ok := errors.AsType[*conditions.RenderError](err)
				require.True(t, ok, "%s %v", got, err)
				require.Contains(t, problemText(failed.Problem), c.Error)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.Want, string(got))
			for range 20 {
				again, err := template.Render(t.Context(), templateInput(t, templateEvent()))
				require.NoError(t, err)
				require.Equal(t, c.Want, string(again), "the same event gives the same bytes")
			}
		})
	}
}

func TestEveryMistakeOfATemplateIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := newTemplates(t).Compile(conditions.Source{
		Text: `{"a": "${data.pakage} and ${actr}", "b": ["${data.versoin}"]}`, Mode: conditions.JSON, Value: true,
	}, []string{"package.added"})
	found, ok := errors.AsType[*carillon.Error](err)
	require.True(t, ok)
	var got []string
	for _, p := range found.Problems {
		got = append(got, strings.SplitN(problemText(p), ";", 2)[0])
	}
	require.Equal(t, []string{
		"/a 1:7 package.added has no field data.pakage", `/a 1:22 there is no variable "actr"`,
		"/b/0 1:7 package.added has no field data.versoin",
	}, got)
}

func TestAFieldOfOneTypeCanBeAskedFor(t *testing.T) {
	t.Parallel()
	templates := newTemplates(t)
	types := []string{"package.added", "build.finished"}
	for _, text := range []string{
		"${has(data.package) ? data.package : data.name}", "${default(data.package, data.name)}",
		"${has(data.metadata) ? data.metadata.size : 0}", "${data['package']}",
	} {
		_, err := templates.Compile(conditions.Source{Text: text, Mode: conditions.Text}, types)
		if strings.Contains(text, "data.name") {
			// name is a build's alone, and nothing asks for it.
			require.ErrorContains(t, err, "package.added has no field data.name", text)
			continue
		}
		require.NoError(t, err, text)
	}
	_, err := templates.Compile(conditions.Source{
		Text: "${has(data.package) ? data.package : has(data.name) ? data.name : ''}", Mode: conditions.Text,
	}, types)
	require.NoError(t, err)
}

func TestHTMLIsEscapedForWhereAValueStands(t *testing.T) {
	t.Parallel()
	template, err := newTemplates(t).Compile(conditions.Source{Mode: conditions.HTML, Text: `<a href="${data.script}" title='${data.hostile}' class=${data.hostile}>` +
		`${data.hostile}</a>{{.}}<script>var s = ${data.hostile}</script><ul>${data.tags.map(t, string(t))}</ul>`}, nil)
	require.NoError(t, err)
	got, err := template.Render(t.Context(), templateInput(t, templateEvent()))
	require.NoError(t, err)
	require.Equal(t, `<a href="#ZgotmplZ" title='&lt;b&gt;&#34;&#39;&amp;=`+"\n"+`&lt;!channel&gt; ${x}' `+
		`class=&lt;b&gt;&#34;&#39;&amp;&#61;&#10;&lt;!channel&gt;&#32;${x}>`+
		`&lt;b&gt;&#34;&#39;&amp;=`+"\n"+`&lt;!channel&gt; ${x}</a>{{.}}`+
		`<script>var s = "\u003cb\u003e\"'\u0026=\n\u003c!channel\u003e ${x}"</script>`+"<ul>a\nb</ul>", string(got))
}

func TestURLsLeadWhereTheirTemplateSays(t *testing.T) {
	t.Parallel()
	templates := newTemplates(t)
	event := templateEvent()
	for _, c := range []struct{ url, actor, want string }{
		{"https://h.example.com/feeds/${scope.feed}/x", "", "https://h.example.com/feeds/internal-utils/x"},
		{"https://h.example.com/${actor}", "a b/c?d#e&f%2e", "https://h.example.com/a%20b%2Fc%3Fd%23e&f%252e"},
		{"https://h.example.com/x?u=${actor}&v=${scope.feed}", "a b/c?d#e&f=%", "https://h.example.com/x?u=a+b%2Fc%3Fd%23e%26f%3D%25&v=internal-utils"},
		{"https://h.example.com/${actor == 'a?b' ? 'y' : 'n'}?q=${actor}", "a?b", "https://h.example.com/y?q=a%3Fb"},
		{"https://h.example.com?u=${actor}", "x", "https://h.example.com?u=x"},
		{"https://h.example.com/a${actor}b", "..", "https://h.example.com/a..b"},
		{"https://h.example.com/v$${x}/${actor}", "y", "https://h.example.com/v${x}/y"},
		{"https://h.example.com/${actor}/y", "..", ""},
		{"https://h.example.com/${actor}/y", "", ""},
		{"https://h.example.com/${actor}/y", "../../admin", ""},
		{"https://h.example.com/${actor}/y", `x\..\y`, ""},
		{"https://h.example.com/.${actor}/y", ".", ""},
		{"https://h.example.com/%2e${actor}/y", ".", ""},
	} {
		template, err := templates.CompileURL(c.url, nil)
		require.NoError(t, err, c.url)
		event.Actor = c.actor
		got, err := template.Render(t.Context(), templateInput(t, event))
		if c.want == "" {
			require.ErrorContains(t, err, "would lead elsewhere", "%s %q: %s", c.url, c.actor, got)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	for url, want := range map[string]string{
		"https://${actor}/x":              "1:9 ${…} can stand in the path and the query only",
		"https://h.${actor}/x":            "1:11 ${…} can stand in the path and the query only",
		"https://h.example.com${actor}/x": "1:22 ${…} can stand in the path and the query only",
		"${actor}://h.example.com/":       "1:1 ${…} can stand in the path and the query only",
		"https:${actor}":                  "1:7 ${…} can stand in the path and the query only",
		"https://h.example.com/${actr}":   `1:25 there is no variable "actr"`,
		"https://h.example.com/${actor":   "1:23 this ${ has no }",
	} {
		_, err := templates.CompileURL(url, nil)
		found, ok := errors.AsType[*carillon.Error](err)
		require.True(t, ok, url)
		require.True(t, strings.HasPrefix(problemText(found.Problems[0]), want), "%s: %s", url, problemText(found.Problems[0]))
	}
}
