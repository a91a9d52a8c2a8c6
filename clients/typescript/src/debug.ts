/** Log to the console if `localStorage["ws-debug"]` is `"true"`. Read at every call, so it may be set at any time. */
export function debug(message: string, ...details: readonly unknown[]): void {
  if (isOn()) {
    console.debug(`[ws] ${message}`, ...details);
  }
}

function isOn(): boolean {
  try {
    return globalThis.localStorage.getItem("ws-debug") === "true";
  } catch {
    // localStorage does not exist outside browsers, and a page may be forbidden to use it.
    return false;
  }
}
