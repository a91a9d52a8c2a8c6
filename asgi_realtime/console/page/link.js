// The console's WebSocket: requests with answers, and a new connection after a loss.

const ANSWER_MS = 10_000;
const LONGEST_PAUSE_MS = 15_000;

export class Link {
  #socket = null;
  #ref = 0;
  #pending = new Map();
  #attempts = 0;
  #onChange;
  #opened = null;

  /** `onChange` is called with "open", "lost" or "ended". */
  constructor(onChange) {
    this.#onChange = onChange;
    this.#open();
  }

  /** Ask the server. Rejects with an `Error` if the request was refused, or if no answer came. */
  async ask(event, data = {}) {
    await this.#whenOpen();
    const ref = ++this.#ref;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(ref, ({ reject: fail }) => fail(new Error("No answer came in time."))), ANSWER_MS);
      this.#pending.set(ref, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ type: event, data: { ...data, ref } }));
    });
  }

  #open() {
    const address = new URL(location.pathname, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#opened = Promise.withResolvers ? Promise.withResolvers() : withResolvers();
    this.#opened.promise.catch(() => {});
    socket.addEventListener("message", ({ data }) => this.#receive(JSON.parse(data)));
    socket.addEventListener("close", ({ code }) => this.#closed(code));
  }

  #whenOpen() {
    return this.#opened.promise;
  }

  #receive({ type, data }) {
    if (type === "auth_success") {
      this.#attempts = 0;
      this.#opened.resolve();
      this.#onChange("open");
    } else if (type === "answer") {
      this.#settle(data.ref, ({ resolve }) => resolve(data.result));
    } else if (type === "error" && data.ref !== undefined) {
      this.#settle(data.ref, ({ reject }) => reject(new Error(data.message)));
    }
  }

  #settle(ref, how) {
    const request = this.#pending.get(ref);
    if (request) {
      clearTimeout(request.timer);
      this.#pending.delete(ref);
      how(request);
    }
  }

  #closed(code) {
    const lost = new Error("The connection to the server is lost.");
    this.#opened.reject(lost);
    for (const ref of [...this.#pending.keys()]) this.#settle(ref, ({ reject }) => reject(lost));
    if (code === 1008) {
      this.#onChange("ended"); // the session has ended, or is not valid: log in again
      return;
    }
    this.#onChange("lost");
    const pause = Math.min(LONGEST_PAUSE_MS, 500 * 2 ** this.#attempts++) * (0.5 + Math.random() / 2);
    setTimeout(() => this.#open(), pause);
  }
}

function withResolvers() {
  const found = {};
  found.promise = new Promise((resolve, reject) => Object.assign(found, { resolve, reject }));
  return found;
}
