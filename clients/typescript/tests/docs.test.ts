import { readFileSync } from "node:fs";
import { join } from "node:path";

import ts from "typescript";
import { expect, test } from "vitest";

const HERE = import.meta.dirname;
const PAGE = join(HERE, "..", "..", "..", "docs", "guides", "typescript.md");

/** All code blocks of the page in a language, joined in order. */
function blocks(language: "ts" | "tsx"): string {
  const found = readFileSync(PAGE, "utf-8").matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"));
  return [...found].map(([, code]) => code).join("\n");
}

// A compilation takes seconds, and much longer on a machine that is busy.
test("the code of the page compiles, strictly", { timeout: 120_000 }, () => {
  const sources = new Map([
    [join(HERE, "page.ts"), blocks("ts")],
    [join(HERE, "page.component.tsx"), blocks("tsx")],
  ]);
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    jsx: ts.JsxEmit.ReactJSX,
    types: [],
    paths: {
      "asgi-realtime": [join(HERE, "../src/index.ts")],
      "asgi-realtime/react": [join(HERE, "../src/react.ts")],
      "asgi-realtime/*": [join(HERE, "../src/generated/*.ts")],
    },
  };
  const host = ts.createCompilerHost(options);
  host.readFile = (name) => sources.get(name) ?? ts.sys.readFile(name);
  host.fileExists = (name) => sources.has(name) || ts.sys.fileExists(name);
  const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram([...sources.keys()], options, host));
  expect(ts.formatDiagnostics(diagnostics, host)).toBe("");
  expect([...sources.values()].every((code) => code.includes("asgi-realtime"))).toBe(true);
});
