package conditions_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"testing"
	"unicode/utf8"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// modes are all that a template can be written in.
var modes = []conditions.Mode{
	conditions.JSON, conditions.JSONSlack, conditions.JSONHTML, conditions.Text, conditions.Slack, conditions.Markdown,
	conditions.HTML, conditions.XML, conditions.Form, conditions.Path, conditions.Header,
}

// FuzzTemplate holds that any text compiles as a template or is refused with
// places, and that what compiles is written within the limits or has a reason;
// and that a URL keeps its scheme and host.
func FuzzTemplate(f *testing.F) {
	for _, b := range readBombs(f).Bombs {
		for i, mode := range modes {
			if text := unfold(b.Template); b.Template != "" && len(text) < 4<<10 && (b.Mode == "" || b.Mode == string(mode)) {
				f.Add(i, text)
			}
		}
	}
	for _, text := range []string{
		`{"a":"${actor}","b":["${data.package}",1]}`, "https://h.example.com/${data.package}?v=${data.version}", "<a href='${source}'>${actor}</a>",
		"$${x}", "${", "${'}'}", `"\ud800${actor}"`, "<!--${actor}-->", "<https://x|${actor}>", "${data}", "${json(data)}",
	} {
		for i := range modes {
			f.Add(i, text)
		}
	}
	templates := newTemplates(f)
	input, err := conditions.NewTemplateInput(sampleEvent())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, n int, text string) {
		mode := modes[uint(n)%uint(len(modes))]
		template, err := templates.Compile(conditions.Source{Text: text, Mode: mode}, []string{"package.*"})
		if err != nil {
			refusedWithPlaces(t, text, err)
		} else if out, err := template.Render(t.Context(), input); err != nil {
			hasReason(t, text, err)
		} else if len(out) > conditions.MaxRenderedBytes || !utf8.Valid(out) {
			t.Fatalf("%s %q: %d bytes", mode, text, len(out))
		} else if (mode == conditions.JSON || mode == conditions.JSONSlack || mode == conditions.JSONHTML) && !json.Valid(out) {
			t.Fatalf("%s %q: %q", mode, text, out)
		}
		address, err := templates.CompileURL("https://h.example.com/"+text, nil)
		if err != nil {
			refusedWithPlaces(t, text, err)
		} else if written, err := address.Render(t.Context(), input); err != nil {
			hasReason(t, text, err)
		} else if u, err := url.Parse(written); err == nil && (u.Scheme != "https" || u.Host != "h.example.com" || u.User != nil) {
			t.Fatalf("%q: %q", text, written)
		}
	})
}

func refusedWithPlaces(t *testing.T, text string, err error) {
	t.Helper()
	problems, ok := errors.AsType[*carillon.Error](err)
	if !ok || problems.Code != carillon.CodeInvalid || len(problems.Problems) == 0 {
		t.Fatalf("%q: %v", text, err)
	}
	for _, p := range problems.Problems {
		if p.Line < 1 || p.Column < 1 || p.Detail == "" || !utf8.ValidString(p.Detail) {
			t.Fatalf("%q: a problem without a place: %+v", text, p)
		}
		if p.Detail == "this template cannot be compiled" {
			t.Fatalf("%q: the compiler panicked", text)
		}
	}
}

func hasReason(t *testing.T, text string, err error) {
	t.Helper()
	failed, ok := errors.AsType[*conditions.RenderError](err)
	if !ok || failed.Problem.Detail == "" || len(failed.Problem.Detail) > carillon.MaxErrorBytes || !utf8.ValidString(failed.Problem.Detail) {
		t.Fatalf("%q: %v", text, err)
	}
}

// FuzzCheckMatch holds that any fields of a match are refused with their names,
// or make an expression that compiles and has an answer or a reason.
func FuzzCheckMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{"MyCorp.*", "[1.0,2.0)"}, {"re:^(a+)+$", ">=1.2 <2"}, {"@angular/*", "1.?"}, {"", "~1.2"}, {`a'b\c`, "(,1.0]"}, {"re:(", "[,]"},
		{"\x00", "="}, {"re:\\pL{3}", "!=1"}, {"\xff", "[1.0.0.0-beta+x]"}, {"'", "^"},
	} {
		f.Add(seed[0], seed[1], 1.5, int64(7))
	}
	env := newEnvironment(f)
	input, err := conditions.NewInput(sampleEvent())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, version string, score float64, project int64) {
		fields := carillon.Match{
			Mode: carillon.MatchConditionally, Package: name, Version: version, MinScore: &score, ProjectIDs: []int64{project},
		}
		if err := conditions.CheckMatch(fields); err != nil {
			problems, ok := errors.AsType[*carillon.Error](err)
			if !ok || problems.Code != carillon.CodeInvalid || len(problems.Problems) == 0 || problems.Problems[0].Pointer == "" {
				t.Fatalf("%+v: %v", fields, err)
			}
			return
		}
		expression := conditions.Effective(fields, "")
		condition, err := env.Compile(expression)
		if err != nil {
			t.Fatalf("%+v: %s: %v", fields, expression, err)
		}
		check(t, condition, input)
	})
}
