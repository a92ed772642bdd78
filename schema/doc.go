// Package schema is the shape of Carillon's database: the migrations, and how
// a database of a given URL is opened and brought up to date.
//
// One SQL text serves PostgreSQL and SQLite. Migrations go forward only, each
// in one transaction, and any number of processes may run them at once.
package schema
