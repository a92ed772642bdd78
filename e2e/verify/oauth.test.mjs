import assert from "node:assert/strict";
import test from "node:test";
import { createHmac } from "node:crypto";
import OAuth from "oauth-1.0a";
import { verify } from "./oauth.mjs";

const consumer = { key: "key", secret: "secret" };
const token = { key: "token", secret: "token secret" };
const signer = new OAuth({
  consumer,
  signature_method: "HMAC-SHA1",
  hash_function: (text, key) => createHmac("sha1", key).update(text).digest("base64"),
});
const signed = { method: "POST", url: "https://api.example.com/2/tweets" };
const request = { ...signed, consumer, token, authorization: signer.toHeader(signer.authorize(signed, token)).Authorization };

test("a good signature is taken", () => assert.equal(verify(request), ""));

for (const [what, change] of Object.entries({
  "another URL": { url: "https://api.example.com/2/users" },
  "another method": { method: "GET" },
  "another secret of the application": { consumer: { key: "key", secret: "other" } },
  "another secret of the token": { token: { key: "token", secret: "other" } },
  "another token": { token: { key: "other", secret: "token secret" } },
  "another scheme": { authorization: "Basic a2V5OnNlY3JldA==" },
})) {
  test(`${what} is noticed`, () => assert.notEqual(verify({ ...request, ...change }), ""));
}
