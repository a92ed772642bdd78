package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/config"
)

// maxEventFile is above what the API takes.
const maxEventFile = 1 << 20

// runPublish posts the event in a file.
func runPublish(ctx context.Context, cfg config.Config, args []string, out io.Writer) error {
	if len(args) != 1 {
		return usagef("publish takes one argument: a file with an event in JSON, or - for standard input")
	}
	return publish(ctx, cfg, args[0], os.Stdin, out)
}

func publish(ctx context.Context, cfg config.Config, file string, stdin io.Reader, out io.Writer) error {
	if cfg.AdminKey.Reveal() == "" {
		return usagef("CARILLON_ADMIN_KEY is not set; it is the key that the API at CARILLON_PUBLIC_URL (%s) asks for", cfg.PublicURL)
	}
	event, err := readEvent(file, stdin)
	if err != nil {
		return usageError{err}
	}
	accepted, err := client.New(cfg.PublicURL, cfg.AdminKey.Reveal()).Publish(ctx, event)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", cfg.PublicURL, err)
	}
	line := "accepted " + accepted.ID + ", run " + accepted.Run.WorkflowID
	if accepted.Run.URL != "" {
		line += "\n" + accepted.Run.URL
	}
	_, err = fmt.Fprintln(out, line)
	return err
}

// readEvent reads one event. Its data is left as it is written; whether it has
// the shape of its type is for the API to say.
func readEvent(file string, stdin io.Reader) (client.NewEvent, error) {
	from := stdin
	if file != "-" {
		f, err := os.Open(file) //nolint:gosec // G304: the file that the operator names
		if err != nil {
			return client.NewEvent{}, fmt.Errorf("read event: %w", err)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxEventFile+1))
	if err != nil {
		return client.NewEvent{}, fmt.Errorf("read event: %w", err)
	}
	if len(text) > maxEventFile {
		return client.NewEvent{}, fmt.Errorf("read event: %s is larger than the %d bytes that an event can have", file, maxEventFile)
	}
	var data json.RawMessage
	event := client.NewEvent{Data: &data}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&event); err != nil {
		return client.NewEvent{}, fmt.Errorf("read event: %s is no event in JSON: %w", file, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return client.NewEvent{}, fmt.Errorf("read event: %s has more than one event; publish posts one", file)
	}
	if len(data) == 0 {
		return client.NewEvent{}, fmt.Errorf("read event: %s has no data; type, source and data are required", file)
	}
	return event, nil
}
