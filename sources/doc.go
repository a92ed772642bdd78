// Package sources turns what registries send in their own formats into
// Carillon's events: one [Adapter] a format.
//
// An adapter reads one upstream request and answers with the events to
// publish; publishing them, and answering the registry, is its caller's work.
// What it has to know of earlier requests is in a [Memory].
//
// The one invariant: the same request, sent again, yields the same events
// under the same ids, so that a registry which repeats what was not
// acknowledged loses nothing and rings nothing twice. (Products that name none of
// their notifications and repeat none are the exception.) And since registries
// repeat what is refused, some for ever, a well-formed request that an adapter
// does not understand is an event, too: source.unknown.
package sources
