package formats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

const (
	textType = "text/plain; charset=utf-8"
	// maxContentTypeBytes is far above any media type with a charset.
	maxContentTypeBytes = 200
)

// custom writes what its subscription asks for: a template of JSON or text.
type custom struct{}

// Name is "custom".
func (custom) Name() string { return "custom" }

// Describe says that it is a template.
func (custom) Describe() Description {
	return Description{
		Title: "Custom",
		Text:  "What the subscription's own template makes of the event: JSON or text with ${…} expressions; see docs/templates.md.",
		Options: []Option{
			{Name: "content", Text: "The template: a JSON value whose strings may hold ${…}, or a text."},
			{
				Name: "content_type", Default: jsonType,
				Text: "The payload's media type, which decides how values are escaped; of a text it is text/plain unless it says otherwise.",
			},
			{
				Name: "escape", Values: []string{"none", "html", "slack"}, Default: "none",
				Text: "What shows the text, or the strings of the JSON, to people: values are escaped for it, too.",
			},
			{Name: "proget_content", Text: "The OtterScript that content was made of, for ProGet's webhook API to show; it is not sent."},
		},
	}
}

// Carries is always true: what a type has is the template's to know.
func (custom) Carries(string) bool { return true }

// customOptions is the JSON shape of the options.
type customOptions struct {
	Content     json.RawMessage `json:"content"`
	ContentType string          `json:"content_type,omitempty"`
	Escape      string          `json:"escape,omitempty"`
}

// Prepare compiles the template and checks it against the event types.
func (custom) Prepare(posted json.RawMessage, eventTypes []string) (json.RawMessage, error) {
	source, _, err := readCustom(posted)
	if err != nil {
		return nil, err
	}
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return nil, err
	}
	if _, err := templates.Compile(source, eventTypes); err != nil {
		if found, ok := errors.AsType[*carillon.Error](err); ok {
			for i := range found.Problems {
				found.Problems[i].Pointer = optionsPointer + "/content" + found.Problems[i].Pointer
			}
		}
		return nil, err
	}
	return posted, nil
}

// Render writes the template for the event. An error wraps the
// [conditions.RenderError] that says where.
func (custom) Render(r Request) (Payload, error) {
	source, contentType, err := readCustom(r.Options)
	if err != nil {
		return Payload{}, fmt.Errorf("the template cannot be read: %w", err)
	}
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return Payload{}, err
	}
	template, err := templates.Kept(source)
	if err != nil {
		return Payload{}, fmt.Errorf("the template does not compile any more: %w", err)
	}
	input, err := conditions.NewTemplateInput(r.Event)
	if err != nil {
		return Payload{}, err
	}
	body, err := template.Render(context.Background(), input)
	if err != nil {
		return Payload{}, fmt.Errorf("the template has no result for this event: %w", err)
	}
	return Payload{Body: body, ContentType: contentType}, nil
}

// readCustom reads the options: the template and its media type.
func readCustom(raw json.RawMessage) (conditions.Source, string, error) {
	var problems []carillon.Problem
	wrong := func(name, format string, args ...any) {
		problems = append(problems, carillon.Problem{Pointer: optionsPointer + "/" + escape(name), Detail: fmt.Sprintf(format, args...)})
	}
	var given map[string]json.RawMessage
	if raw != nil && (json.Unmarshal(raw, &given) != nil || given == nil) {
		return conditions.Source{}, "", carillon.Invalid(optionsPointer, "must be an object")
	}
	known := []string{"content", "content_type", "escape", "proget_content"}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, name) {
			wrong(name, "is no option of the format; there are %s", strings.Join(known, ", "))
		}
	}
	options := customOptions{Content: given["content"]}
	text := func(name string, into *string) {
		if given[name] != nil && json.Unmarshal(given[name], into) != nil {
			wrong(name, "must be a string")
		}
	}
	text("content_type", &options.ContentType)
	text("escape", &options.Escape)
	text("proget_content", new(string))
	source, contentType := options.source(wrong)
	if len(problems) > 0 {
		return conditions.Source{}, "", &carillon.Error{
			Code: carillon.CodeInvalid, Message: "the format's options are not valid", Problems: problems,
		}
	}
	return source, contentType, nil
}

func (o customOptions) source(wrong func(name, format string, args ...any)) (conditions.Source, string) {
	source := conditions.Source{Text: string(o.Content), Value: true}
	if source.Text == "" || source.Text == "null" {
		wrong("content", "is required: a JSON value whose strings may hold ${…}, or a text")
		return source, ""
	}
	if json.Unmarshal(o.Content, &source.Text) == nil {
		source.Value = false
	}
	contentType := o.ContentType
	switch {
	case contentType == "" && source.Value:
		contentType = jsonType
	case contentType == "" && strings.ContainsAny(firstOf(source.Text), "{["):
		wrong("content_type", "is required for a text that begins like JSON: application/json, or text/plain for a text")
		return source, ""
	case contentType == "":
		contentType = textType
	}
	var ok bool
	if source.Mode, ok = modeOf(contentType); !ok {
		wrong("content_type", "must be application/json, text/plain, text/markdown, text/html, application/xml or "+
			"application/x-www-form-urlencoded, in UTF-8")
		return source, ""
	}
	if source.Value && source.Mode != conditions.JSON {
		wrong("content", "must be a string where content_type is not JSON")
	}
	switch mode, ok := escapedMode(source.Mode, o.Escape); {
	case !ok:
		wrong("escape", "must be none, html (of JSON only) or slack (of JSON and plain text only)")
	default:
		source.Mode = mode
	}
	return source, contentType
}

// firstOf is the first character of a text that is no white space.
func firstOf(text string) string {
	text = strings.TrimSpace(text)
	return text[:min(1, len(text))]
}

// modeOf returns how values are escaped in a payload of the media type.
func modeOf(contentType string) (conditions.Mode, bool) {
	media, ok := readMediaType(contentType)
	if !ok {
		return "", false
	}
	switch {
	case media == jsonType || media == "text/json" || strings.HasSuffix(media, "+json"):
		return conditions.JSON, true
	case media == "text/html" || media == "application/xhtml+xml":
		return conditions.HTML, true
	case media == "image/svg+xml": // scripts in it run
		return "", false
	case media == "text/xml" || media == "application/xml" || strings.HasSuffix(media, "+xml"):
		return conditions.XML, true
	case media == "application/x-www-form-urlencoded":
		return conditions.Form, true
	case media == "text/plain":
		return conditions.Text, true
	case media == "text/markdown":
		return conditions.Markdown, true
	default:
		return "", false
	}
}

// escapedMode is the mode that escapes for what shows it, too.
func escapedMode(mode conditions.Mode, escape string) (conditions.Mode, bool) {
	switch {
	case escape == "" || escape == "none":
		return mode, true
	case escape == "slack" && mode == conditions.JSON:
		return conditions.JSONSlack, true
	case escape == "slack" && mode == conditions.Text:
		return conditions.Slack, true
	case escape == "html" && mode == conditions.JSON:
		return conditions.JSONHTML, true
	default:
		return "", false
	}
}
