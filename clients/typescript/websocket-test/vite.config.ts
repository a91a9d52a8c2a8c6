import { join } from "node:path";

import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Built into the Flask example, which serves it.
export default defineConfig({
  root: import.meta.dirname,
  base: "/websocket-test/",
  plugins: [react()],
  server: { proxy: { "/jobs": "http://127.0.0.1:3001", "/ws": { target: "ws://127.0.0.1:3001", ws: true } } },
  build: {
    outDir: join(import.meta.dirname, "../../../examples/flask_adapter/static/websocket-test"),
    emptyOutDir: true,
    reportCompressedSize: false,
  },
});
