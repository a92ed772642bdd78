// Recomputes the OAuth 1.0a signatures of requests:
//
//   node oauth.mjs < requests.json
//
// Standard input is a list of {"method", "url", "authorization", "consumer":
// {"key", "secret"}, "token": {"key", "secret"}}. It prints "ok" or what is
// wrong, a line each, and ends with 1 when something is.

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import OAuth from "oauth-1.0a";

// verify returns what is wrong with a request; empty when nothing is.
export function verify({ method, url, authorization, consumer, token }) {
  const [scheme, rest] = [authorization.slice(0, 6), authorization.slice(6)];
  if (scheme !== "OAuth ") {
    return `the scheme is ${scheme}`;
  }
  const given = Object.fromEntries(
    rest.split(", ").map((pair) => {
      const [, name, value] = /^([^=]+)="([^"]*)"$/.exec(pair);
      return [decodeURIComponent(name), decodeURIComponent(value)];
    }),
  );
  const { oauth_signature: signature, ...data } = given;
  for (const [name, want] of Object.entries({
    oauth_consumer_key: consumer.key,
    oauth_token: token.key,
    oauth_signature_method: "HMAC-SHA1",
    oauth_version: "1.0",
  })) {
    if (data[name] !== want) {
      return `${name} is ${data[name]}`;
    }
  }
  if (Math.abs(Date.now() / 1000 - Number(data.oauth_timestamp)) > 300 || !data.oauth_nonce) {
    return "the timestamp or the nonce is wrong";
  }
  const oauth = new OAuth({
    consumer,
    signature_method: "HMAC-SHA1",
    hash_function: (text, key) => createHmac("sha1", key).update(text).digest("base64"),
  });
  const want = oauth.getSignature({ method, url, data: {} }, token.secret, data);
  return signature === want ? "" : `the signature is ${signature}, and should be ${want}`;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const request of JSON.parse(readFileSync(0, "utf8"))) {
    const wrong = verify(request);
    console.log(wrong || "ok");
    process.exitCode = wrong ? 1 : process.exitCode;
  }
}
