// Reads one CloudEvent, in either of HTTP's modes, with the SDK of JavaScript:
//
//   node cloudevent.mjs < request.json
//
// Standard input is {"headers": {name: value}, "body": "…"}. It prints the event
// as JSON, or ends with 1 when the SDK refuses it.

import { readFileSync } from "node:fs";
import { HTTP } from "cloudevents";

const event = HTTP.toEvent(JSON.parse(readFileSync(0, "utf8")));
event.validate();
console.log(JSON.stringify(event));
