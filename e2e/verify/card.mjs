// Parses Adaptive Cards with the library that renders them, as a host that knows
// version 1.4 does:
//
//   node card.mjs < cards.json
//
// Standard input is a list of cards. It prints what is wrong with them, a line
// each, and ends with 1 when something is: what the library says, and what is
// lost when it writes the card again, which is what it does not know.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import AC from "./adaptivecards.mjs";

// verify returns what is wrong with a card.
export function verify(card) {
  const context = new AC.SerializationContext(AC.Versions.v1_4);
  const parsed = new AC.AdaptiveCard();
  parsed.parse(card, context);
  const wrong = [];
  for (let i = 0; i < context.eventCount; i++) {
    wrong.push(context.getEventAt(i).message);
  }
  wrong.push(...parsed.validateProperties().validationEvents.map((event) => event.message));
  try {
    assert.deepEqual(known(parsed.toJSON(context)), known(card));
  } catch (error) {
    wrong.push(error.message);
  }
  return wrong;
}

// known is a card without what the library leaves out when it writes one: words
// of its own are the same in small letters, and defaults need not be said.
function known(value) {
  if (Array.isArray(value)) {
    return value.map(known);
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  const kept = {};
  for (const [name, inner] of Object.entries(value)) {
    kept[name] = ["weight", "size", "style", "spacing", "color"].includes(name) ? String(inner).toLowerCase() : known(inner);
  }
  return kept;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const cards = JSON.parse(readFileSync(0, "utf8"));
  assert.ok(Array.isArray(cards) && cards.length > 0, "standard input is a list of cards");
  for (const [i, card] of cards.entries()) {
    for (const problem of verify(card)) {
      console.log(`card ${i}: ${problem}`);
      process.exitCode = 1;
    }
  }
  console.log(`${cards.length} cards`);
}
