// The adaptivecards package: its modules name each other without extensions,
// which Node does not take, so that its one-file build is read.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const file = new URL("node_modules/adaptivecards/dist/adaptivecards.min.js", import.meta.url);
const module = { exports: {} };
vm.runInThisContext(`(function (module, exports) {${readFileSync(file, "utf8")}\n})`)(module, module.exports);

export default module.exports;
