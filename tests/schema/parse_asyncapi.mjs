// Parses AsyncAPI documents with the official parser. Reads a JSON array of documents from the standard input, and
// prints for each what the parser finds wrong, and the operations that it has read.
import { Parser } from "@asyncapi/parser";
import { readFileSync } from "node:fs";

const results = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  const { document, diagnostics } = await new Parser().parse(text);
  results.push({
    problems: diagnostics.map(({ code, path, message }) => ({ code, path: path.join("/"), message })),
    operations: document?.operations().all().map((operation) => operation.id()) ?? [],
  });
}
console.log(JSON.stringify(results));
