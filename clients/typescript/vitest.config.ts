import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.{ts,tsx}"],
    // Generous, because a test may share its machine with much else.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
