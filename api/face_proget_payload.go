package api

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/formats"
)

// proGetEndpoint is what a face shows of a webhook's endpoint.
type proGetEndpoint struct {
	URL         string
	Method      string
	Headers     map[string]string
	BearerToken string `json:"bearer_token"`
	BasicAuth   *struct {
		Username string
		Password string
	} `json:"basic_auth"`
}

// customFormat is the format of a webhook with a content of its own.
const customFormat = "custom"

// proGetOptions are the options of its two formats that a face shows.
type proGetOptions struct {
	ContentType   string  `json:"content_type"`
	ProGetContent *string `json:"proget_content"`
}

func (s *Server) proGetParts(sub carillon.Subscription) (endpoint proGetEndpoint, options proGetOptions) {
	// What a channel redacts, and a format keeps, is an object of its own fields.
	_ = json.Unmarshal(s.viewSubscription(sub).Endpoint, &endpoint)
	_ = json.Unmarshal(sub.FormatOptions, &options)
	return endpoint, options
}

// viewProGetPayload shows what a webhook sends, with its secrets as masks.
func (s *Server) viewProGetPayload(sub carillon.Subscription) (url string, payload proGetPayload) {
	endpoint, options := s.proGetParts(sub)
	payload = proGetPayload{Method: endpoint.Method, Headers: map[string]string{}, Content: options.ProGetContent}
	maps.Copy(payload.Headers, endpoint.Headers)
	switch {
	case endpoint.BearerToken != "":
		payload.Headers[echo.HeaderAuthorization] = "Bearer " + endpoint.BearerToken
	case endpoint.BasicAuth != nil:
		payload.Headers[echo.HeaderAuthorization] = "Basic " + endpoint.BasicAuth.Username + ":" + endpoint.BasicAuth.Password
	}
	if t := options.ContentType; t != "" && t != echo.MIMEApplicationJSON {
		payload.Headers[echo.HeaderContentType] = t
	}
	return endpoint.URL, payload
}

// readProGetPayload reads method, headers and content into a patch of a
// subscription, which current is; nil for a new one.
func (s *Server) readProGetPayload(raw json.RawMessage, current *carillon.Subscription, patch, endpoint map[string]any) error {
	var before proGetEndpoint
	var options proGetOptions
	if current != nil {
		before, options = s.proGetParts(*current)
	}
	f := readFields("/payload", raw)
	if f.has("method") {
		endpoint["method"] = strings.ToUpper(f.text("method", maxNameBytes))
	}
	f.raw("method")
	_, newContent := f.members["content"]
	content := f.free("content", maxConfigBytes)
	if !newContent && options.ProGetContent != nil {
		content = *options.ProGetContent
	}
	contentType := options.ContentType
	headers := f.raw("headers")
	if headers != nil {
		contentType = readProGetHeaders(f, headers, before.Headers, endpoint)
	}
	if newContent || headers != nil {
		putProGetContent(f, content, contentType, patch)
	}
	return f.done()
}

// readProGetHeaders reads all headers, in the place of those there were, and
// returns the content type, which is the format's to set.
func readProGetHeaders(f *fields, raw json.RawMessage, before map[string]string, endpoint map[string]any) (contentType string) {
	var given map[string]*string
	if err := json.Unmarshal(raw, &given); err != nil {
		f.wrong("headers", "must be an object of strings")
		return ""
	}
	headers := map[string]any{}
	for name := range before {
		headers[name] = nil
	}
	endpoint["bearer_token"], endpoint["basic_auth"] = nil, nil
	for _, name := range sortedKeys(given) {
		switch {
		case given[name] == nil:
		case strings.EqualFold(name, echo.HeaderContentType):
			contentType = *given[name]
		case strings.EqualFold(name, echo.HeaderAuthorization):
			readAuthorization(name, *given[name], headers, endpoint)
		default:
			headers[name] = *given[name]
		}
	}
	endpoint["headers"] = headers
	return contentType
}

// readAuthorization takes the schemes that an endpoint has fields for apart. As
// it is answered, a user and a masked password stand there as they are.
func readAuthorization(name, value string, headers, endpoint map[string]any) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer") && rest != "":
		endpoint["bearer_token"] = rest
		return
	case strings.EqualFold(scheme, "Basic"):
		pair := rest
		if decoded, err := base64.StdEncoding.DecodeString(rest); err == nil {
			pair = string(decoded)
		}
		if user, password, ok := strings.Cut(pair, ":"); ok && user != "" {
			endpoint["basic_auth"] = map[string]string{"username": user, "password": password}
			return
		}
	}
	headers[name] = value
}

// putProGetContent chooses the format: ProGet's own for the default content,
// else a template that the content is converted to.
func putProGetContent(f *fields, content, contentType string, patch map[string]any) {
	options := map[string]any{"content": nil, "content_type": nil, "escape": nil, "proget_content": nil}
	patch["format_options"] = options
	if content == "" {
		patch["format"] = catalog.ProGet
		if contentType != "" && contentType != echo.MIMEApplicationJSON {
			options["content_type"] = contentType
		}
		return
	}
	imported, err := formats.ImportProGet(content, contentType)
	if err != nil {
		_ = f.include("content", err) // it is about the input
		return
	}
	wrongProGet(f, "content", imported.Unconverted)
	// As a text: a document would be merged with the one there was.
	var template any = string(imported.Content)
	if strings.HasPrefix(string(imported.Content), `"`) {
		template = imported.Content
	}
	patch["format"] = customFormat
	options["content"], options["content_type"], options["proget_content"] = template, imported.ContentType, content
}

// readProGetCondition takes an expression of Carillon's as it is, and converts
// a predicate of ProGet's.
func (s *Server) readProGetCondition(f *fields) string {
	text := f.free("condition", maxConditionBytes)
	if !strings.Contains(text, "$") {
		return text
	}
	if _, err := s.deps.Conditions.Compile(text); err == nil {
		return text
	}
	expression, unconverted := formats.ImportProGetPredicate(text)
	wrongProGet(f, "condition", unconverted)
	return expression
}

func wrongProGet(f *fields, name string, unconverted []formats.Unconverted) {
	for _, u := range unconverted {
		f.wrong(name, "line %d, column %d, %q: %s", u.Line, u.Column, u.Text, u.Why)
	}
}

// showsProGet reports whether a subscription is one of the face's: in ProGet's
// format, or in a template that its API made.
func showsProGet(sub carillon.Subscription) bool {
	var options proGetOptions
	_ = json.Unmarshal(sub.FormatOptions, &options)
	return sub.Channel == webhookChannel && (sub.Format == catalog.ProGet ||
		sub.Format == customFormat && options.ProGetContent != nil)
}
