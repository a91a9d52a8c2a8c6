import { vi } from "vitest";

/** Wait until a condition holds. The limit allows for a busy machine. */
export const until = (condition: () => boolean | Promise<boolean>): Promise<boolean> =>
  vi.waitUntil(condition, { timeout: 20_000 });
