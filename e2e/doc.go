// Package e2e tests Carillon as it is shipped: the built binary, a real
// Temporal server, a real database and real HTTP, driven through package
// client. It holds tests only; `make build` makes what they start.
package e2e
