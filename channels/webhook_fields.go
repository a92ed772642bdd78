package channels

import "encoding/json"

// webhookFields are what may be posted. What is answered may be posted back.
var webhookFields = []Field{
	{
		Name: "url", Type: URL, Required: true, Template: true, Moves: true, Max: maxURLBytes,
		Text: "Where the payloads go.", Example: "https://hooks.example.com/carillon",
	},
	{Name: "method", Type: Text, Values: webhookMethods, Default: json.RawMessage(`"POST"`), Text: "The HTTP method."},
	{
		Name: "headers", Type: Secrets, Secret: true, Template: true, Max: maxHeaders,
		Text: "Headers of the receiver's own, by their names.", Example: `{"X-Team": "core"}`,
	},
	{
		Name: "secret", Type: Text, Secret: true, Max: maxSecretBytes, Example: "whsec_…",
		Text: "Signs the payloads, as Standard Webhooks has it. Left out, one is made and shown once.",
	},
	{Name: "public_key", Type: Text, ReadOnly: true, Text: "What receivers verify with when secret is a private key."},
	{
		Name: "previous_secrets", Type: Objects, Max: maxPreviousSecrets, Text: "Secrets that sign as well while receivers change over.",
		Fields: []Field{
			{Name: "secret", Type: Text, Required: true, Secret: true, Max: maxSecretBytes, Text: "The secret."},
			{Name: "expires_at", Type: Text, Text: "When it signs no more (RFC 3339).", Example: "2026-12-01T00:00:00Z"},
		},
	},
	{
		Name: "basic_auth", Type: Object, Text: "User and password of the Authorization header.",
		Fields: []Field{
			{Name: "username", Type: Text, Required: true, Text: "The user.", Example: "carillon"},
			{Name: "password", Type: Text, Secret: true, Max: maxSecretBytes, Text: "The password."},
		},
	},
	{Name: "bearer_token", Type: Text, Secret: true, Max: maxSecretBytes, Text: "The Authorization header's token, instead of basic_auth."},
	{Name: "token", Type: Text, Secret: true, Max: maxSecretBytes, Text: "Goes into the header that the format has for one."},
	{
		Name: "timeout", Type: Duration, Default: json.RawMessage(`"15s"`), Max: int(maxTimeout.Seconds()),
		Text: "How long an attempt may take.",
	},
}

// Describe implements [Sender].
func (*webhook) Describe() Description {
	return Description{
		Name: webhookName, Title: "Webhook", Text: "Signed HTTP requests to a program, in one of the formats.",
		Fields: webhookFields,
	}
}
