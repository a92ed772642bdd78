// Package carillon is the domain of Carillon: the words every other package
// speaks. An [Event] happened, a [Subscription] asked to know, a [Delivery]
// is one event on its way to one subscription, an [Attempt] is one try of it.
//
// The package imports the standard library only and does no I/O; its one
// invariant is that a name means the same here, in SQL, in JSON and in the
// documentation.
package carillon
