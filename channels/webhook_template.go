package channels

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// Templated is a channel whose endpoints can hold templates.
type Templated interface {
	// CheckTemplates checks those of a kept endpoint against the event types of
	// its subscription, which can be patterns. The error is a CodeInvalid with
	// pointers below "/endpoint".
	CheckTemplates(e carillon.Endpoint, eventTypes []string) error
}

// hasTemplate reports whether a text of an endpoint is a template. One without
// expressions is what it always was.
func hasTemplate(text string) bool { return strings.Contains(text, "${") }

// parseURL reads a URL, with an x in place of every expression.
func parseURL(text string) (*url.URL, error) {
	if !hasTemplate(text) {
		return url.Parse(text)
	}
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return nil, err
	}
	template, err := templates.KeptURL(text)
	if err != nil {
		return nil, err
	}
	return url.Parse(template.Outline())
}

// wrongTemplate notes why a URL with expressions cannot be read.
func wrongTemplate(f form, path string, err error) {
	found, ok := errors.AsType[*carillon.Error](err)
	if !ok {
		f.wrong(path, "must be an http:// or https:// URL with a host")
		return
	}
	for _, p := range found.Problems {
		p.Pointer = f.pointer + "/" + path
		p.Detail = unnamed(p.Detail)
		*f.problems = append(*f.problems, p)
	}
}

// prepareTemplates notes what is wrong with the templates of a posted endpoint.
func prepareTemplates(f form, endpoint webhookEndpoint) error {
	problems, err := endpoint.templateProblems(nil)
	*f.problems = append(*f.problems, problems...)
	return err
}

// CheckTemplates implements [Templated].
func (w *webhook) CheckTemplates(e carillon.Endpoint, eventTypes []string) error {
	endpoint, _, err := readWebhook(e)
	if err != nil {
		return err
	}
	problems, err := endpoint.templateProblems(eventTypes)
	if err != nil || len(problems) == 0 {
		return err
	}
	return &carillon.Error{Code: carillon.CodeInvalid, Message: "the endpoint is not valid", Problems: problems}
}

// templateProblems compiles the endpoint's templates. What is wrong in a header
// is not repeated: a secret with ${ in it would be. Of a URL, what looks like one
// is not.
func (e webhookEndpoint) templateProblems(eventTypes []string) ([]carillon.Problem, error) {
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return nil, err
	}
	var problems []carillon.Problem
	add := func(pointer string, err error, detail string) error {
		if err == nil {
			return nil
		}
		found, ok := errors.AsType[*carillon.Error](err)
		if !ok {
			return err
		}
		for _, p := range found.Problems {
			p.Pointer = pointer
			p.Detail = cmp.Or(detail, unnamed(p.Detail))
			problems = append(problems, p)
		}
		return nil
	}
	if hasTemplate(e.URL) {
		_, err := templates.CompileURL(e.URL, eventTypes)
		if err := add("/endpoint/url", err, ""); err != nil {
			return nil, err
		}
	}
	for _, name := range e.headerNames() {
		if !hasTemplate(e.Headers[name]) {
			continue
		}
		_, err := templates.Compile(headerTemplate(e.Headers[name]), eventTypes)
		if err := add("/endpoint/headers/"+escape(name), err, templateProblem); err != nil {
			return nil, err
		}
	}
	return problems, nil
}

const templateProblem = "the ${…} here does not compile for the event types; a literal ${ is written $${"

// unnamed is what is wrong in a URL, unless it repeats what looks like a secret.
func unnamed(detail string) string {
	between := func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	if slices.ContainsFunc(strings.FieldsFunc(detail, between), opaque) {
		return templateProblem
	}
	return detail
}

func headerTemplate(value string) conditions.Source {
	return conditions.Source{Text: value, Mode: conditions.Header}
}

// written returns the endpoint and its URL as they are for an event. An error
// means that they can never be, for this event; it is for people.
func (e webhookEndpoint) written(ctx context.Context, event carillon.Event, target *url.URL) (webhookEndpoint, *url.URL, error) {
	names := slices.DeleteFunc(e.headerNames(), func(name string) bool { return !hasTemplate(e.Headers[name]) })
	if !hasTemplate(e.URL) && len(names) == 0 {
		return e, target, nil
	}
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return e, nil, err
	}
	input, err := conditions.NewTemplateInput(event)
	if err != nil {
		return e, nil, err
	}
	if hasTemplate(e.URL) {
		if target, err = writtenURL(ctx, templates, e.URL, input, target); err != nil {
			return e, nil, err
		}
	}
	e.Headers = maps.Clone(e.Headers)
	for _, name := range names {
		template, err := templates.Kept(headerTemplate(e.Headers[name]))
		if err != nil {
			return e, nil, errors.New("the header " + name + " is no template that compiles")
		}
		value, err := template.Render(ctx, input)
		if err != nil {
			return e, nil, errors.New("the header " + name + " cannot be written: " + err.Error())
		}
		e.Headers[name] = strings.TrimSpace(string(value))
		if len(value) > maxSecretBytes || !httpguts.ValidHeaderFieldValue(e.Headers[name]) {
			return e, nil, errors.New("the header " + name + " would be too long, or no header's value")
		}
	}
	return e, target, nil
}

func writtenURL(
	ctx context.Context, templates *conditions.Templates, text string, input *conditions.Input, outline *url.URL,
) (*url.URL, error) {
	template, err := templates.KeptURL(text)
	if err != nil {
		return nil, errors.New("the url is no template that compiles")
	}
	written, err := template.Render(ctx, input)
	if err != nil {
		return nil, errors.New("the url cannot be written: " + err.Error())
	}
	target, err := url.Parse(written)
	// The compiler lets no value into scheme and host; this is what it means.
	if err != nil || target.Scheme != outline.Scheme || !strings.EqualFold(target.Host, outline.Host) ||
		target.User != nil || target.Fragment != "" || len(written) > maxURLBytes {
		return nil, errors.New("the url cannot be written: it would be too long, or no URL of its host")
	}
	return target, nil
}
