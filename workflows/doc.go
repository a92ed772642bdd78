// Package workflows decides. A Dispatch run takes one event to everybody it
// concerns: it routes, attempts, waits and tries again, and disables what
// cannot be reached; activities do each of these things and never decide.
//
// The package touches no clock, network, database or condition, so that every
// recorded history replays. What a run shows in Temporal Web (summaries,
// details, search attributes) holds no secret: hosts, never paths.
package workflows
