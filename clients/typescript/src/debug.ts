/** Log to the console if `localStorage["ws-debug"]` is `"true"`. It may be set at any time. */
export function debug(message: string, ...details: readonly unknown[]): void {
  if (isOn()) {
    console.debug(`[ws] ${message}`, ...details);
  }
}

function isOn(): boolean {
  try {
    return globalThis.localStorage.getItem("ws-debug") === "true";
  } catch {
    // It does not exist outside browsers, and a page may not be allowed to use it.
    return false;
  }
}
