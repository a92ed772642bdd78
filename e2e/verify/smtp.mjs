// A mail server made of npm's smtp-server, which reads what it takes with
// mailparser: libraries that others wrote. The tests run it as a program:
//
//   node smtp.mjs < options.json
//
// Standard input begins with one line of JSON: {"cert", "key"} in PEM, "secure"
// for TLS from the start (else STARTTLS, and nothing before it), "user" and
// "password" of the login it asks for, "refuse" with the reply to a recipient,
// such as {"bob@example.com": [550, "no such user"]}, and "later" with that of
// the first time only, such as {"ann@example.com": [451, "greylisted"]}. It
// prints one line {"port": n}, and then one for each mail: its envelope, headers
// and parts. It ends with its input.

import { createInterface } from "node:readline";
import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";

const input = createInterface({ input: process.stdin });
input.once("line", (line) => start(JSON.parse(line)));
input.on("close", () => process.exit(0));

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

function reply([code, text]) {
  return Object.assign(new Error(text), { responseCode: code });
}

function start({ cert, key, secure = false, user, password, refuse = {}, later = {} }) {
  const server = new SMTPServer({
    cert,
    key,
    secure,
    authOptional: user === undefined,
    authMethods: ["PLAIN", "LOGIN", "CRAM-MD5"],
    disableReverseLookup: true,
    onAuth(auth, session, done) {
      const right = auth.username === user && (auth.validatePassword ? auth.validatePassword(password) : auth.password === password);
      done(right ? null : reply([535, "wrong user or password"]), { user });
    },
    onRcptTo({ address }, session, done) {
      const no = later[address] ?? refuse[address];
      delete later[address];
      done(no && reply(no));
    },
    async onData(stream, session, done) {
      const mail = await simpleParser(stream, { skipHtmlToText: true, skipTextToHtml: true });
      say({
        from: session.envelope.mailFrom.address,
        to: session.envelope.rcptTo.map((r) => r.address),
        encrypted: session.secure,
        user: session.user,
        // Every line as it came, so that an injected header is seen.
        headers: mail.headerLines.map(({ key: name, line }) => [name, line]),
        subject: mail.subject,
        sender: mail.from.value,
        recipients: mail.to.value,
        text: mail.text,
        html: mail.html || "",
        attachments: mail.attachments.length,
        messageId: mail.messageId,
        references: mail.references ?? "",
      });
      done(null, "queued");
    },
  });
  server.on("error", (error) => process.stderr.write(String(error) + "\n"));
  server.listen(0, "127.0.0.1", () => say({ port: server.server.address().port }));
}
