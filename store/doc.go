// Package store keeps what Carillon must find again: the configuration, and an
// index of events and deliveries. What exactly happened is in the histories of
// the runs, not here.
//
// It is the only place with SQL outside schema, in one text that PostgreSQL
// and SQLite both read. One exported method is one transaction; time comes in
// as an argument; the invariants that several processes rely on (an event has
// one owner, a subscription is disabled once, config versions follow their
// commits) are held by the database, never by memory.
package store
