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
		{"an API on SQLite", []string{"api"}, []string{secret, "CARILLON_ADMIN_KEY=k"}, "SQLite is for one process, and carillon api is one of two"},
		{"a worker on SQLite", []string{"worker"}, []string{secret}, "or run `carillon serve`, which is both in one"},
		{"a worker without a secret key", []string{"worker"}, nil, "openssl rand -base64 32"},
		{"doctor with an argument", []string{"doctor", "-v"}, nil, "settings are environment variables"},
		{"doctor with an unknown variable", []string{"doctor"}, []string{"CARILLON_HTP_ADDR=x"}, "CARILLON_HTTP_ADDR"},
		{"publish without a file", []string{"publish"}, nil, "publish takes one argument"},
		{"publish without a key", []string{"publish", "-"}, nil, "CARILLON_ADMIN_KEY is not set"},
		{"publish of a file that is not there", []string{"publish", "testdata/none.json"}, []string{"CARILLON_ADMIN_KEY=k"}, "read event: "},
		{"listen with a secret for all to see", []string{"listen", "--secret", "whsec_x"}, nil, "CARILLON_LISTEN_SECRET"},
		{"listen with a bad secret", []string{"listen"}, []string{"CARILLON_LISTEN_SECRET=hunter2"}, "CARILLON_LISTEN_SECRET: secret 1: "},
		{"listen on a port that is none", []string{"listen", "--port", "70000"}, nil, "0 to 65535"},
		{"listen with an argument", []string{"listen", "8081"}, nil, "allowed: --port N"},
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

func TestAWorkerIsVersionedByBothVariablesOrNone(t *testing.T) {
	t.Parallel()
	getenv := func(environment map[string]string) func(string) string {
		return func(name string) string { return environment[name] }
	}
	options, err := workerOptions(getenv(nil))
	require.NoError(t, err)
	require.Empty(t, options)
	options, err = workerOptions(getenv(map[string]string{deploymentName: "carillon", workerBuildID: "1"}))
	require.NoError(t, err)
	require.Len(t, options, 1)
	for _, one := range []string{deploymentName, workerBuildID} {
		_, err = workerOptions(getenv(map[string]string{one: "x"}))
		require.ErrorAs(t, err, new(usageError))
		require.ErrorContains(t, err, "set both")
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
