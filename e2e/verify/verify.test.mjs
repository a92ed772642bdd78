import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import test from "node:test";
import { Webhook } from "standardwebhooks";
import { tamper, verify } from "./verify.mjs";

function signed(payload = '{"id":"evt_1","data":{"package":"left-pad"}}') {
  const secret = "whsec_" + randomBytes(32).toString("base64");
  const now = new Date();
  const headers = {
    "Webhook-Id": "evt_1",
    "Webhook-Timestamp": String(Math.floor(now.getTime() / 1000)),
    "Webhook-Signature": new Webhook(secret).sign("evt_1", now, payload),
  };
  return { secret, headers, payload };
}

test("both libraries accept what was signed", () => {
  assert.deepEqual(verify(signed()).map((v) => [v.library, v.refused]), [["standardwebhooks", ""], ["svix", ""]]);
});

test("both libraries refuse one byte changed", () => {
  const request = signed();
  const payload = tamper(request.payload);
  assert.equal(payload.length, request.payload.length);
  assert.doesNotThrow(() => JSON.parse(payload));
  for (const { library, refused } of verify({ ...request, payload })) {
    assert.notEqual(refused, "", library);
  }
});

test("the program says ok, refused or what is wrong with its input", () => {
  const run = (input) => spawnSync(process.execPath, [fileURLToPath(new URL("verify.mjs", import.meta.url))], { input, encoding: "utf8" });
  const request = signed();

  const good = run(JSON.stringify(request));
  assert.equal(good.status, 0, good.stderr);
  assert.equal(good.stdout, "standardwebhooks ok\nsvix ok\n");

  const bad = run(JSON.stringify({ ...request, payload: tamper(request.payload) }));
  assert.equal(bad.status, 1);
  assert.match(bad.stdout, /^standardwebhooks refused: .+\nsvix refused: .+\n$/);

  assert.equal(run("not JSON").status, 2);
  assert.equal(run('{"secret":"whsec_"}').status, 2);
});
