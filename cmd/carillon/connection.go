package main

import (
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	sdklog "go.temporal.io/sdk/log"
)

// temporalOptions reads how to reach Temporal from Temporal's own variables
// and profiles. An address, unless empty, replaces theirs.
func temporalOptions(environment envconfig.EnvLookup, address string, log *slog.Logger) (client.Options, error) {
	options, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{EnvLookup: environment})
	if err != nil {
		return client.Options{}, usagef("read Temporal's settings: %w", err)
	}
	if address != "" {
		options.HostPort = address
	}
	if options.HostPort == "" {
		options.HostPort = client.DefaultHostPort
	}
	if options.Namespace == "" {
		options.Namespace = client.DefaultNamespace
	}
	if options.ConnectionOptions.TLS == nil && options.ConnectionOptions.GrpcCompression == nil {
		// A server without TLS is near: packing what is sent costs more than it saves.
		options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	options.Logger = sdklog.NewStructuredLogger(slog.New(warnings{log.Handler()}))
	return options, nil
}
