// A webhook receiver, as somebody would write it who never saw Carillon: it
// checks each request with the npm packages standardwebhooks and svix, and that
// both refuse it with one byte changed. A request that passes is answered with
// 204 and becomes one JSON line in FILE; any other is answered with 401.
//
//   node receiver.mjs PORT SECRET_FILE FILE
//
// The secret is read at each request, because it is known only once the
// subscription exists, which needs this receiver's address.

import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { tamper, verify } from "../../e2e/verify/verify.mjs";

const [port, secretFile, file] = process.argv.slice(2);
const largest = 1 << 20;

async function body(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > largest) {
      throw new Error(`larger than ${largest} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function check(headers, payload) {
  const secret = readFileSync(secretFile, "utf8").trim();
  for (const { library, refused } of verify({ secret, headers, payload })) {
    if (refused) {
      throw new Error(`${library} refused it: ${refused}`);
    }
  }
  for (const { library, refused } of verify({ secret, headers, payload: tamper(payload) })) {
    if (!refused) {
      throw new Error(`${library} accepted it with one byte changed`);
    }
  }
}

const server = createServer(async (request, response) => {
  try {
    const payload = await body(request);
    check(request.headers, payload);
    const event = JSON.parse(payload);
    appendFileSync(file, JSON.stringify({ webhook_id: request.headers["webhook-id"], event }) + "\n");
    console.log(`received ${event.type} ${event.subject}: standardwebhooks and svix accept it, and refuse it with one byte changed`);
    response.writeHead(204).end();
  } catch (error) {
    console.log(`refused a request: ${error.message}`);
    response.writeHead(401).end();
  }
});

server.listen(Number(port), "127.0.0.1");
