package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMistakesOfTheOperatorAreSaidAndEndWithTwo(t *testing.T) {
	t.Parallel()
	const secret = "CARILLON_SECRET_KEY=ZTJlLXRlc3Qta2V5LW9mLTMyLWJ5dGVzLWV4YWN0bHk="
	tests := []struct {
		name    string
		args    []string
		environ []string
		want    string
	}{
		{"no command", nil, nil, "Usage: carillon COMMAND"},
		{"unknown command", []string{"srve"}, nil, `unknown command "srve"`},
		{"an argument", []string{"serve", "--port=1"}, nil, "settings are environment variables"},
		{"unknown variable", []string{"serve"}, []string{"CARILLON_HTP_ADDR=x"}, "CARILLON_HTTP_ADDR"},
		{"no secret key", []string{"serve"}, nil, "openssl rand -base64 32"},
		{"no admin key", []string{"serve"}, []string{secret}, "CARILLON_ADMIN_KEY is not set"},
		{"bad secret key", []string{"serve"}, []string{"CARILLON_SECRET_KEY=short", "CARILLON_ADMIN_KEY=k"}, "CARILLON_SECRET_KEY: "},
		{"bad networks", []string{"serve"}, []string{secret, "CARILLON_ADMIN_KEY=k", "CARILLON_ALLOW_CIDRS=10.0.0.0/99"}, "CARILLON_ALLOW_CIDRS: "},
		{"bad database", []string{"migrate"}, []string{"CARILLON_DATABASE_URL=mysql://x"}, "CARILLON_DATABASE_URL: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out, errOut bytes.Buffer
			require.Equal(t, exitUsage, run(t.Context(), tt.args, tt.environ, &out, &errOut))
			require.Contains(t, errOut.String(), tt.want)
			require.NotContains(t, errOut.String(), "goroutine")
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"help"}, nil, &out, &errOut))
	require.Contains(t, out.String(), "carillon COMMAND")
	require.Zero(t, run(t.Context(), []string{"version"}, nil, &out, &errOut))
	require.Contains(t, out.String(), version)
	require.Empty(t, errOut.String())
}
