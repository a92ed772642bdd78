package channels

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/carillon-dev/carillon"
)

// Settings has what is set once for the whole installation, such as a mail
// server.
type Settings interface {
	// Setting returns the shared fields of a channel as they are kept; nil when
	// there are none.
	Setting(ctx context.Context, channel string) (carillon.Endpoint, error)
}

// Completer is a channel some of whose fields may be set for the installation.
type Completer interface {
	// Complete says whether the endpoint can be used with what is set for the
	// installation now: the error is a CodeInvalid with pointers below
	// "/endpoint" that says what neither has, or that of reading the settings.
	Complete(ctx context.Context, e carillon.Endpoint) error
}

// completed is the endpoint with what it leaves to the installation, and the
// defaults of both. One that names where it leads to takes nothing: the
// installation's secrets are for the installation's hosts.
func (d described[E]) completed(ctx context.Context, e carillon.Endpoint) (carillon.Endpoint, error) {
	var own map[string]json.RawMessage
	if err := json.Unmarshal(e, &own); err != nil || own == nil {
		return e, nil //nolint:nilerr // who reads it says so
	}
	moves := func(f Field) bool { return f.Shared && f.Moves && !isMissing(own[f.Name]) }
	var setting map[string]json.RawMessage
	if d.settings != nil && !slices.ContainsFunc(d.about.Fields, moves) {
		kept, err := d.settings.Setting(ctx, d.about.Name)
		if err != nil {
			return nil, err
		}
		if kept != nil && json.Unmarshal(kept, &setting) != nil {
			return nil, carillon.Errorf(carillon.CodeInternal, "the setting of the channel %s cannot be read", d.about.Name)
		}
	}
	for _, field := range shared(d.about.Fields) {
		for _, value := range []json.RawMessage{setting[field.Name], field.Default} {
			if isMissing(own[field.Name]) && !isMissing(value) {
				own[field.Name] = value
			}
		}
	}
	merged, err := json.Marshal(own)
	if err != nil {
		return nil, carillon.Errorf(carillon.CodeInternal, "the endpoint cannot be written")
	}
	return merged, nil
}

// Complete implements [Completer].
func (d described[E]) Complete(ctx context.Context, e carillon.Endpoint) error {
	merged, err := d.completed(ctx, e)
	if err != nil {
		return err
	}
	var values map[string]json.RawMessage
	_ = json.Unmarshal(merged, &values) // what cannot be read lacks everything
	f := form{pointer: "/endpoint", problems: &[]carillon.Problem{}}
	for _, field := range missing(d.about.Fields, values) {
		f.wrong(field.Name, "is required, such as %s: the installation has no setting for the channel %s either", field.Example, d.about.Name)
	}
	return f.err()
}

// CanBeSet returns the fields that may be set for the installation; none for
// most channels.
func CanBeSet(s Sender) []Field { return shared(s.Describe().Fields) }

// PrepareSetting is [Sender.Prepare] of what is set for the installation: the
// channel's shared fields, with pointers below "/endpoint".
func PrepareSetting(s Sender, posted json.RawMessage, stored carillon.Endpoint) (carillon.Endpoint, error) {
	f, values := fill(CanBeSet(s), posted, stored)
	if checker, ok := s.(settingChecker); ok && values != nil {
		checker.checkSetting(f, values)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	kept, err := json.Marshal(values)
	if err != nil {
		return nil, carillon.Errorf(carillon.CodeInternal, "the setting cannot be written")
	}
	return kept, nil
}

// settingChecker is a channel that notes what the description cannot say of a
// setting.
type settingChecker interface {
	checkSetting(f form, values map[string]any)
}

// RedactSetting returns a setting as people may see it.
func RedactSetting(s Sender, e carillon.Endpoint) json.RawMessage { return redact(CanBeSet(s), e) }
