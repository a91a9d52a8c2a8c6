import { vi } from "vitest";

/** Wait until a condition holds, as long as a busy machine may take. */
export const until = (condition: () => boolean | Promise<boolean>): Promise<boolean> =>
  vi.waitUntil(condition, { timeout: 20_000 });
