// Package conditions compiles and evaluates the conditions of subscriptions:
// CEL expressions (https://github.com/google/cel-spec) that say true or false
// of one event. It knows nothing of subscriptions, storage or delivery.
//
// A condition is written by one person and runs over data published by
// another, so neither is trusted. The invariant: whatever the expression and
// whatever the event, compiling and matching never panic, take bounded time
// and bounded memory. CEL's own cost limit is charged after a call returns and
// counts nothing behind dynamic types, so it bounds neither alone. What does:
//
//   - nothing that builds a bigger value out of smaller ones is available: no
//     concatenation, no map or filter, no lists of parts of the event;
//   - patterns are written in the condition, within limits, and run over
//     strings of at most [MaxStringBytes];
//   - parts of an event are never compared with each other as a whole;
//   - every call is charged by the sizes it really saw.
//
// Templates are texts and JSON documents with such expressions in them, of any
// type, written into payloads, URLs and headers. They do build values: what
// they may build is bounded by the cost of building it and, where it is only
// put together by reference, by the size of what is written (see checkBuilt).
// Their invariant: no value changes the structure of what is written.
package conditions
