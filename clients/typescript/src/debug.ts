/** Log to the console where `localStorage["ws-debug"]` is `"true"`. It may be set at any time. */
export function debug(message: string, ...details: readonly unknown[]): void {
  if (isOn()) {
    console.debug(`[ws] ${message}`, ...details);
  }
}

function isOn(): boolean {
  try {
    return globalThis.localStorage.getItem("ws-debug") === "true";
  } catch {
    // There is none outside browsers, and a page may be forbidden to use it.
    return false;
  }
}
