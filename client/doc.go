// Package client speaks to Carillon's HTTP API: it publishes events, manages
// subscriptions and sources, and reads what became of an event. For those who
// receive webhooks there is [Verify].
//
// The boundary is the network: the package knows the API's JSON and nothing of
// how Carillon works inside. Its invariant: a method that returns no error got
// the answer that the API documents, and every other answer is an [*Error].
package client
