package conditions

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
)

// URLTemplate is the template of a URL. Its scheme and host are written out:
// no event can have a request sent elsewhere.
type URLTemplate struct {
	template *Template
	outline  string
}

// hostPart is a URL up to its path or query.
var hostPart = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]+[/?]`)

// CompileURL reads the template of a URL, whose expressions can stand in the
// path and in the query, and checks it as [Templates.Compile] does.
func (t *Templates) CompileURL(text string, patterns []string) (*URLTemplate, error) {
	pieces, _ := split(text)
	var literal, outline strings.Builder
	query := false
	var modes []Mode
	for _, p := range pieces {
		if !p.expression {
			if len(modes) == 0 {
				literal.WriteString(p.text)
			}
			outline.WriteString(p.text)
			query = query || strings.Contains(p.text, "?")
			continue
		}
		if len(modes) == 0 && !hostPart.MatchString(literal.String()) {
			line, column := lineAndColumn(text, p.offset-len(opening))
			return nil, templateError(carillon.Problem{
				Detail: "${…} can stand in the path and the query only; scheme and host must be written out", Line: line, Column: column,
			})
		}
		outline.WriteString("x")
		if query {
			modes = append(modes, Form)
		} else {
			modes = append(modes, Path)
		}
	}
	compiled, err := t.Compile(Source{Text: text, Mode: Path}, patterns)
	if err != nil {
		return nil, err
	}
	// Compiled templates are shared; this one is not kept.
	for i := range compiled.parts {
		if compiled.parts[i].expression != nil {
			compiled.parts[i].mode, modes = modes[0], modes[1:]
		}
	}
	return &URLTemplate{template: compiled, outline: outline.String()}, nil
}

// KeptURL returns the compiled template of a URL that was checked before, as
// [Templates.Kept] does.
func (t *Templates) KeptURL(text string) (*URLTemplate, error) {
	if kept, ok := t.urls.Get(text); ok {
		return kept, nil
	}
	compiled, err := t.CompileURL(text, nil)
	if err != nil {
		return nil, err
	}
	t.urls.Add(text, compiled)
	return compiled, nil
}

// Outline is the URL with an x for each expression.
func (u *URLTemplate) Outline() string { return u.outline }

var errSegment = errors.New("a value makes a piece of the path empty, or . or .., which would lead elsewhere")

// Render writes the URL for an event. Its errors are those of
// [Template.Render]; a value that would change which piece of the path is
// which is a [*RenderError].
func (u *URLTemplate) Render(ctx context.Context, in *Input) (string, error) {
	written, err := u.template.Render(ctx, in)
	if err != nil {
		return "", err
	}
	path, _, _ := strings.Cut(string(written), "?")
	pattern, _, _ := strings.Cut(u.outline, "?")
	pieces, wanted := strings.Split(path, "/"), strings.Split(pattern, "/")
	bad := len(pieces) != len(wanted)
	for i, piece := range pieces {
		if !bad && piece != wanted[i] {
			bad = !goodSegment(piece)
		}
	}
	if bad {
		return "", &RenderError{Problem: carillon.Problem{Detail: errSegment.Error()}}
	}
	return string(written), nil
}

// goodSegment looks at a piece of a path as servers read it, some of which
// take %2F and \ for a slash.
func goodSegment(piece string) bool {
	text, err := url.PathUnescape(piece)
	if err != nil || text == "" {
		return false
	}
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == '/' || r == '\\' })
	return !slices.Contains(parts, ".") && !slices.Contains(parts, "..")
}
