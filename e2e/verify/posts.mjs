// Counts posts as X does, with the library that X wrote:
//
//   node posts.mjs < posts.json
//
// Standard input is a list of texts. It prints those that are too long, and
// ends with 1 when one is.

import { readFileSync } from "node:fs";
import twitter from "twitter-text";

const texts = JSON.parse(readFileSync(0, "utf8"));
for (const text of texts) {
  const { valid, weightedLength } = twitter.parseTweet(text);
  if (!valid) {
    console.log(`${weightedLength}: ${JSON.stringify(text)}`);
    process.exitCode = 1;
  }
}
console.log(`${texts.length} posts`);
