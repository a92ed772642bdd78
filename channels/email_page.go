package channels

import (
	"context"
	_ "embed"
	"errors"
	"html/template"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/messages"
)

//go:embed email.html
var emailPage string

// page is the default one. html/template escapes every value for where it
// stands.
var page = template.Must(template.New("email").Parse(emailPage))

func defaultPage(m Message, message messages.Message) (string, error) {
	var written strings.Builder
	err := page.Execute(&written, struct {
		messages.Message
		Colour             string
		Paragraphs, Footer []string
	}{message, message.Level.Colour(), strings.Split(message.Text, "\n"), footer(m)})
	if err != nil {
		return "", errors.New("the page cannot be written")
	}
	return written.String(), nil
}

func pageTemplate(text string) conditions.Source {
	return conditions.Source{Text: text, Mode: conditions.HTML}
}

// checkPage says what is wrong with a subscription's own page.
func checkPage(text string, eventTypes []string) error {
	if text == "" {
		return nil
	}
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return err
	}
	_, err = templates.Compile(pageTemplate(text), eventTypes)
	return under("/endpoint/html", err)
}

// ownPage writes a subscription's own page; the error is for people.
func ownPage(ctx context.Context, text string, event carillon.Event) (string, error) {
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return "", err
	}
	compiled, err := templates.Kept(pageTemplate(text))
	if err != nil {
		return "", errors.New("the field html is no template that compiles")
	}
	input, err := conditions.NewTemplateInput(event)
	if err != nil {
		return "", err
	}
	written, err := compiled.Render(ctx, input)
	if err != nil {
		return "", errors.New("the field html cannot be written: " + err.Error())
	}
	return string(written), nil
}
