// Writes what the CloudEvents SDK of JavaScript sends, in each of HTTP's modes,
// as fixtures of the API's tests: node cloudevents.mjs > ../../api/testdata/cloudevents-npm.json
import { fileURLToPath } from "node:url";
import { CloudEvent, HTTP } from "cloudevents";

function event(id) {
  return new CloudEvent({
    id,
    source: "https://registry.example.com/npm",
    type: "dev.carillon.package.added",
    subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
    time: "2026-11-21T20:00:00.123Z",
    datacontenttype: "application/json",
    data: { package: "MyCorp.CoolUtils", version: "3.2.0" },
    actor: "maartenba",
    carillonscope: "feed:internal-utils,project:web",
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  });
}

// The SDK writes no batches: its structured events, in an array, are one.
export function requests() {
  const [binary, structured] = [HTTP.binary(event("npm-1")), HTTP.structured(event("npm-1"))];
  const batch = ["npm-1", "npm-2"].map((id) => HTTP.structured(event(id)).body);
  return {
    binary: { headers: binary.headers, body: binary.body },
    structured: { headers: structured.headers, body: structured.body },
    batch: { headers: { "content-type": "application/cloudevents-batch+json; charset=utf-8" }, body: `[${batch.join(",")}]` },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(requests(), null, 2));
}
