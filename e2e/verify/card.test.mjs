import assert from "node:assert/strict";
import test from "node:test";
import { verify } from "./card.mjs";

const text = { type: "RichTextBlock", inlines: [{ type: "TextRun", text: "hello", weight: "Bolder" }] };
const card = (change) => ({
  $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
  type: "AdaptiveCard",
  version: "1.4",
  body: [text],
  ...change,
});

test("a good card is taken", () => assert.deepEqual(verify(card({})), []));

for (const [what, change] of Object.entries({
  "an element that does not exist": { body: [{ type: "Poster" }] },
  "an element of version 1.5": { body: [{ type: "Table", columns: [], rows: [] }] },
  "a colour that does not exist": { body: [{ type: "Container", style: "purple", items: [text] }] },
  "an action without a URL": { actions: [{ type: "Action.OpenUrl", title: "Open" }] },
  "a property that does not exist": { body: [{ ...text, colour: "red" }] },
})) {
  test(`${what} is noticed`, () => assert.notDeepEqual(verify(card(change)), []));
}
