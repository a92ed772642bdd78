// Package api is Carillon's HTTP interface: it lets producers publish, people
// manage subscriptions and sources, and both see what became of an event.
//
// It validates, and asks others to act: the store, which it never imports,
// says which events and deliveries there are; the publisher starts runs and
// updates them; the history says what exactly happened. [Deps] declares them.
//
// Its invariant: a wrong request is answered with a 4xx problem
// (application/problem+json, RFC 9457) that says where it is wrong, nothing a
// client sends makes a 5xx, and no answer holds a stored secret or the text of
// an error that was not written for the person at the other end.
package api
