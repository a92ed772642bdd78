// Verifies one Standard Webhooks request with libraries that others wrote: the
// standardwebhooks and svix packages. The receiver of examples/docker-registry
// uses it as a module; the end-to-end tests run it as a program:
//
//   node verify.mjs < request.json
//
// Standard input is {"secret": "whsec_…", "headers": {name: value}, "payload": "…"}.
// It prints one line a library, "svix ok" or "svix refused: why", and ends with
// 0 when all accept, 1 when one refuses, 2 when the input is no such request.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import * as standardwebhooks from "standardwebhooks";
import * as svix from "svix";

const libraries = { standardwebhooks: standardwebhooks.Webhook, svix: svix.Webhook };

// verify returns [{library, refused}], where refused is "" or the reason.
export function verify({ secret, headers, payload }) {
  return Object.entries(libraries).map(([library, Webhook]) => {
    try {
      new Webhook(secret).verify(payload, headers);
      return { library, refused: "" };
    } catch (error) {
      return { library, refused: error.message || String(error) };
    }
  });
}

// tamper changes one byte in the middle of a payload. The text stays JSON, so
// that only its signature can give it away.
export function tamper(payload) {
  const at = payload.search(/[a-z](?=[a-z]*")/);
  if (at < 0) {
    throw new Error("the payload has no letter to change");
  }
  return payload.slice(0, at) + (payload[at] === "x" ? "y" : "x") + payload.slice(at + 1);
}

function main() {
  let request;
  try {
    request = JSON.parse(readFileSync(0, "utf8"));
    for (const name of ["secret", "payload"]) {
      if (typeof request[name] !== "string") {
        throw new Error(`"${name}" must be a string`);
      }
    }
    if (typeof request.headers !== "object" || request.headers === null) {
      throw new Error('"headers" must be an object');
    }
  } catch (error) {
    console.error(`verify: standard input: ${error.message}`);
    return 2;
  }
  const verdicts = verify(request);
  for (const { library, refused } of verdicts) {
    console.log(refused ? `${library} refused: ${refused}` : `${library} ok`);
  }
  return verdicts.some(({ refused }) => refused) ? 1 : 0;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = main();
}
