package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// environment is an environment of a test's own.
type environment map[string]string

func (e environment) Environ() []string {
	var all []string
	for name, value := range e {
		all = append(all, name+"="+value)
	}
	return all
}

func (e environment) LookupEnv(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// certificate writes a certificate of its own making, and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "carillon"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(t.TempDir(), "client.pem"), filepath.Join(t.TempDir(), "client.key")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}

func TestTemporalsOwnConfigurationIsHonoured(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certificate(t)
	profiles := filepath.Join(t.TempDir(), "temporal.toml")
	require.NoError(t, os.WriteFile(profiles, []byte(`
[profile.default]
address = "default.example.com:7233"

[profile.cloud]
address = "carillon.a1b2c.tmprl.cloud:7233"
namespace = "carillon.a1b2c"
api_key = "from-the-file"

[profile.mtls]
address = "mtls.example.com:7233"
namespace = "carillon"
[profile.mtls.tls]
client_cert_path = "`+certFile+`"
client_key_path = "`+keyFile+`"
server_name = "temporal.example.com"
`), 0o600))

	// What is not about files reads none: not that of whoever runs the test.
	nowhere := filepath.Join(t.TempDir(), "none.toml")
	tests := []struct {
		name                        string
		environment                 environment
		address, host, space        string
		tls, certificate, withKey   bool
		serverName, addressOverride string
	}{
		{
			name: "nothing set", environment: environment{"TEMPORAL_CONFIG_FILE": nowhere},
			host: "localhost:7233", space: "default",
		},
		{
			name: "address and namespace",
			environment: environment{
				"TEMPORAL_CONFIG_FILE": nowhere, "TEMPORAL_ADDRESS": "temporal:7233", "TEMPORAL_NAMESPACE": "carillon",
			},
			host: "temporal:7233", space: "carillon",
		},
		{
			name: "the embedded server's address", addressOverride: "127.0.0.1:1234",
			environment: environment{"TEMPORAL_CONFIG_FILE": nowhere}, host: "127.0.0.1:1234", space: "default",
		},
		{
			name: "an API key, which means TLS",
			environment: environment{
				"TEMPORAL_CONFIG_FILE": nowhere, "TEMPORAL_ADDRESS": "us.example.com:7233", "TEMPORAL_NAMESPACE": "c.a1", "TEMPORAL_API_KEY": "k",
			},
			host: "us.example.com:7233", space: "c.a1", tls: true, withKey: true,
		},
		{
			name: "TLS with a client's certificate",
			environment: environment{
				"TEMPORAL_CONFIG_FILE": nowhere, "TEMPORAL_ADDRESS": "t:7233", "TEMPORAL_TLS": "true",
				"TEMPORAL_TLS_CLIENT_CERT_PATH": certFile, "TEMPORAL_TLS_CLIENT_KEY_PATH": keyFile, "TEMPORAL_TLS_SERVER_NAME": "t.example.com",
			},
			host: "t:7233", space: "default", tls: true, certificate: true, serverName: "t.example.com",
		},
		{
			name: "the default profile of a file", environment: environment{"TEMPORAL_CONFIG_FILE": profiles},
			host: "default.example.com:7233", space: "default",
		},
		{
			name:        "a profile with an API key",
			environment: environment{"TEMPORAL_CONFIG_FILE": profiles, "TEMPORAL_PROFILE": "cloud"},
			host:        "carillon.a1b2c.tmprl.cloud:7233", space: "carillon.a1b2c", tls: true, withKey: true,
		},
		{
			name:        "a profile with a certificate",
			environment: environment{"TEMPORAL_CONFIG_FILE": profiles, "TEMPORAL_PROFILE": "mtls"},
			host:        "mtls.example.com:7233", space: "carillon", tls: true, certificate: true, serverName: "temporal.example.com",
		},
		{
			name: "a variable before the profile",
			environment: environment{
				"TEMPORAL_CONFIG_FILE": profiles, "TEMPORAL_PROFILE": "cloud", "TEMPORAL_NAMESPACE": "other.a1b2c",
			},
			host: "carillon.a1b2c.tmprl.cloud:7233", space: "other.a1b2c", tls: true, withKey: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			options, err := temporalOptions(tt.environment, tt.addressOverride, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			require.Equal(t, tt.host, options.HostPort)
			require.Equal(t, tt.space, options.Namespace)
			require.Equal(t, tt.withKey, options.Credentials != nil)
			tls := options.ConnectionOptions.TLS
			require.Equal(t, tt.tls, tls != nil || tt.withKey && !options.ConnectionOptions.TLSDisabled)
			if tt.certificate {
				require.NotEmpty(t, tls.Certificates)
				require.Equal(t, tt.serverName, tls.ServerName)
			}
		})
	}

	for name, environment := range map[string]environment{
		"a file that is not TOML":         {"TEMPORAL_CONFIG_FILE": certFile},
		"a profile that is not there":     {"TEMPORAL_CONFIG_FILE": profiles, "TEMPORAL_PROFILE": "nowhere"},
		"a certificate that is not there": {"TEMPORAL_CONFIG_FILE": nowhere, "TEMPORAL_TLS_CLIENT_CERT_PATH": nowhere, "TEMPORAL_TLS_CLIENT_KEY_PATH": nowhere},
	} {
		t.Run(name+" is a mistake of usage", func(t *testing.T) {
			t.Parallel()
			_, err := temporalOptions(environment, "", slog.New(slog.DiscardHandler))
			require.ErrorAs(t, err, new(usageError))
		})
	}
}
