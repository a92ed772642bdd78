package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon/internal/seal"
)

// encode has all that a client sends and reads go through the codec, errors and
// their stacks too when it seals.
func encode(options *client.Options, codec *seal.Codec) {
	options.DataConverter = newDataConverter(codec)
	options.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: options.DataConverter, EncodeCommonAttributes: codec.Seals(),
	})
}

// newDataConverter writes values as [newPlainConverter] does, and seals them
// with the codec. One that cannot open a payload blocks the workflow's task,
// which is tried again until a worker has the key; an error would end the run,
// and lose its event.
func newDataConverter(codec *seal.Codec) converter.DataConverter {
	parent := newPlainConverter()
	return dataConverter{
		DataConverter: converter.NewCodecDataConverter(parent, codec),
		inWorkflow:    converter.NewCodecDataConverter(parent, blocking{codec}),
	}
}

type dataConverter struct {
	converter.DataConverter
	inWorkflow converter.DataConverter
}

var _ workflow.ContextAware = dataConverter{}

// WithWorkflowContext returns the converter for workflow code.
func (c dataConverter) WithWorkflowContext(workflow.Context) converter.DataConverter {
	return c.inWorkflow
}

// WithContext returns the converter for everything else.
func (c dataConverter) WithContext(context.Context) converter.DataConverter { return c }

// blocking is a codec that panics where the other errs: of a panic the worker
// makes a failed task, and not a failed run.
type blocking struct{ *seal.Codec }

// Decode opens payloads.
func (b blocking) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	opened, err := b.Codec.Decode(payloads)
	if err != nil {
		panic(err)
	}
	return opened, nil
}

// newPlainConverter is Temporal's own, but that "<", ">" and "&" are written as
// they are: a payload is not longer than what was posted, and reads as it was.
func newPlainConverter() converter.DataConverter {
	return converter.NewCompositeDataConverter(
		converter.NewNilPayloadConverter(),
		converter.NewByteSlicePayloadConverter(),
		converter.NewProtoJSONPayloadConverter(),
		converter.NewProtoPayloadConverter(),
		plainJSON{converter.NewJSONPayloadConverter()},
	)
}

type plainJSON struct {
	*converter.JSONPayloadConverter
}

// ToPayload writes a value.
func (c plainJSON) ToPayload(value any) (*commonpb.Payload, error) {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("%w: %w", converter.ErrUnableToEncode, err)
	}
	return &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(c.Encoding())},
		Data:     bytes.TrimSuffix(data.Bytes(), []byte("\n")),
	}, nil
}
