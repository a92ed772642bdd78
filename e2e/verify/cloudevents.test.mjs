import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { requests } from "./cloudevents.mjs";

test("the API's fixtures are what the SDK sends", () => {
  const fixtures = readFileSync(new URL("../../api/testdata/cloudevents-npm.json", import.meta.url), "utf8");
  assert.deepEqual(JSON.parse(fixtures), JSON.parse(JSON.stringify(requests())));
});
