package conditions_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// FuzzTemplateValues holds that no value changes the structure of what a
// template writes.
func FuzzTemplateValues(f *testing.F) {
	for _, seed := range []string{
		hostile, `"`, `\`, `\"`, `","x":"`, "</script><script>alert(1)</script>", "<!--", "]]>", "\n\n", "\r\nX-Evil: 1", "${actor}", "$${x}",
		"!channel", "@U123", "#C1", "!subteam^S1", "https://e.example.com/>|<!here>", "https://e.example.com/?a|b", "HTTPS://x", "mailto:a@b|c>",
		"[x](javascript:y)", "    code", "1. x", "- x", "](https://e.example.com) [", "**x**", "`x`", "a+b",
		"<!channel>", "&lt;!channel&gt;", "{{.}}", "\u2028", "\u0085", "%0d%0a", "a&b=c", "../..", "?", "#", "' onload='x", "javascript:x", "\x00", "🎉",
	} {
		f.Add(seed)
	}
	templates := newTemplates(f)
	compile := func(mode conditions.Mode, text string) *conditions.Template {
		template, err := templates.Compile(conditions.Source{Text: text, Mode: mode}, nil)
		if err != nil {
			f.Fatal(err)
		}
		return template
	}
	document := `{"a":"${data.v}","b":"x ${data.v} y","c":["${[data.v, {'k': data.v}]}"],"d":{"e":"${data.o}"}}`
	jsonModes := map[conditions.Mode]*conditions.Template{}
	for _, mode := range []conditions.Mode{conditions.JSON, conditions.JSONSlack, conditions.JSONHTML} {
		jsonModes[mode] = compile(mode, document)
	}
	text := compile(conditions.Text, "one ${data.v}\ntwo ${[data.v, 'x']}\n")
	slack := compile(conditions.Slack, "one ${data.v}\n")
	links := compile(conditions.Slack, "<${data.v}|x> <https://h.example.com/${data.v}|y ${data.v}> <${data.v}>")
	jsonLinks := compile(conditions.JSONSlack, `["<${data.v}|x> <https://h.example.com/${data.v}|y ${data.v}> <${data.v}>"]`)
	htmlStrings := compile(conditions.JSONHTML, `["<p id=${data.v}>${data.v}</p><script>var s = ${data.v}</script><a href=\"${data.v}\">z</a>"]`)
	markdown := compile(conditions.Markdown, "x ${data.v}\n\n${data.v}\n\n[y](${data.v}) z\n")
	header := compile(conditions.Header, "v=${data.v};")
	form := compile(conditions.Form, "a=${data.v}&b=2")
	page := compile(conditions.HTML, `<p id="a" title="${data.v}">${data.v}</p><script>var s = ${data.v}</script><a href="/x?q=${data.v}">z</a>`)
	sheet := compile(conditions.XML, `<?xml version="1.0"?><a b="${data.v}" c='${data.v}'>${data.v}<d/></a>`)
	address, err := templates.CompileURL("https://h.example.com/a${data.v}/b?c=${data.v}&d=2", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return // no event has such
		}
		data, err := json.Marshal(map[string]any{"v": value, "o": map[string]any{value: value}})
		if err != nil || len(value) > 10_000 {
			return
		}
		input, err := conditions.NewTemplateInput(carillon.Event{Type: "ping", Data: data})
		if err != nil {
			t.Fatal(err)
		}
		write := func(template *conditions.Template) string {
			out, err := template.Render(t.Context(), input)
			if err != nil {
				t.Fatalf("%q: %v", value, err)
			}
			return string(out)
		}
		for mode, template := range jsonModes {
			checkDocument(t, mode, write(template), value)
		}
		if got := strings.Count(write(text), "\n"); got != 3 {
			t.Fatalf("%q: %d lines in %q", value, got, write(text))
		}
		if got := write(slack); strings.Count(got, "\n") != 1 || strings.ContainsAny(got, "<>") {
			t.Fatalf("%q: %q", value, got)
		}
		if got := write(links); !slackLinks.MatchString(got) {
			t.Fatalf("%q: %q", value, got)
		}
		if got := oneString(t, write(jsonLinks)); got != write(links) {
			t.Fatalf("%q: %q", value, got)
		}
		if got := oneString(t, write(htmlStrings)); elements(got) != "p id /p script /script a href /a" || scriptLink.MatchString(got) {
			t.Fatalf("%q: %q", value, got)
		}
		if got := write(markdown); strings.Count(got, "\n") != 5 || wildMarkdown.MatchString(got) || !markdownLink.MatchString(got) {
			t.Fatalf("%q: %q", value, got)
		}
		if strings.ContainsFunc(write(header), unicode.IsControl) {
			t.Fatalf("%q: %q", value, write(header))
		}
		if got, err := url.ParseQuery(write(form)); err != nil || len(got) != 2 || got.Get("a") != value || got.Get("b") != "2" {
			t.Fatalf("%q: %q", value, write(form))
		}
		if got := elements(write(page)); got != "p id title /p script /script a href /a" {
			t.Fatalf("%q: %s\n%s", value, got, write(page))
		}
		if got := write(sheet); xmlElements(got) != "a b c d /d /a" {
			t.Fatalf("%q: %s\n%s", value, xmlElements(got), got)
		}
		if written, err := address.Render(t.Context(), input); err == nil {
			u, err := url.Parse(written)
			if err != nil || u.Host != "h.example.com" || u.Fragment != "" || strings.Count(u.EscapedPath(), "/") != 2 ||
				u.Query().Get("c") != value || u.Query().Get("d") != "2" {
				t.Fatalf("%q: %q %v", value, written, err)
			}
		}
	})
}

var (
	// Three links, of which a value can be the address, a piece of it or the label.
	slackLinks = regexp.MustCompile(`(?i)^<(about:invalid|(https?://|mailto:)[^<>|]*)\|x> <https://h\.example\.com/[^<>|]*\|y [^<>]*> ` +
		`<(about:invalid|(https?://|mailto:)[^<>|]*)>$`)
	scriptLink = regexp.MustCompile(`(?i)href="\s*javascript:`)
	// Markup, or what may begin an entity that is none of ours.
	wildMarkdown = regexp.MustCompile(`<|&(?:[^la#]|$)`)
	// The template's own link, which a value can neither end nor leave.
	markdownLink = regexp.MustCompile(`(?i)\n\n\[y\]\((about:invalid|(https?://|mailto:)[^\s()<>\\]*)\) z\n$`)
)

// oneString reads a list of one string.
func oneString(t *testing.T, document string) string {
	t.Helper()
	var list []string
	if err := json.Unmarshal([]byte(document), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v %q", err, document)
	}
	return list[0]
}

func checkDocument(t *testing.T, mode conditions.Mode, written, value string) {
	t.Helper()
	var got struct {
		A string
		B string
		C [][]any
		D struct{ E map[string]string }
	}
	if err := json.Unmarshal([]byte(written), &got); err != nil || len(got.C) != 1 || len(got.C[0]) != 2 || len(got.D.E) != 1 {
		t.Fatalf("%q: %v %q", value, err, written)
	}
	switch {
	case got.B != "x "+got.A+" y":
		t.Fatalf("%q: %q", value, written)
	case mode == conditions.JSON && got.A != value:
		t.Fatalf("%q: %q", value, written)
	case mode != conditions.JSON && strings.ContainsAny(fmt.Sprint(got), "<>"):
		t.Fatalf("%q: %q", value, written)
	}
}

// xmlElements lists the elements of a document and their attributes.
func xmlElements(document string) string {
	var found []string
	for decoder := xml.NewDecoder(strings.NewReader(document)); ; {
		token, err := decoder.Token()
		switch v := token.(type) {
		case xml.StartElement:
			found = append(found, v.Name.Local)
			for _, a := range v.Attr {
				found = append(found, a.Name.Local)
			}
		case xml.EndElement:
			found = append(found, "/"+v.Name.Local)
		}
		if errors.Is(err, io.EOF) {
			return strings.Join(found, " ")
		}
		if err != nil {
			return err.Error()
		}
	}
}

// elements lists the tags of a page and their attributes.
func elements(page string) string {
	var found []string
	tokens := html.NewTokenizer(strings.NewReader(page))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if !errors.Is(tokens.Err(), io.EOF) {
				found = append(found, tokens.Err().Error())
			}
			return strings.Join(found, " ")
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			found = append(found, token.Data)
			for _, a := range token.Attr {
				found = append(found, a.Key)
			}
		case html.EndTagToken:
			found = append(found, "/"+tokens.Token().Data)
		case html.CommentToken, html.DoctypeToken:
			found = append(found, "comment")
		}
	}
}
