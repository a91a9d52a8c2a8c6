/**
 * A small Socket.IO client over WebSocket. It is enough for this page, and shows the wire format.
 *
 *   Engine.IO packet   one digit, then its data:  0 open {JSON}   1 close   2 ping   3 pong   4 message
 *   Socket.IO packet   the data of a message:     0 CONNECT       1 DISCONNECT       2 EVENT  3 ACK   4 CONNECT_ERROR
 *                      then [namespace ","] [ack id] [JSON]
 *
 * An event looks like `42["MESSAGE_CREATE",{…},"position"]`. A server may append the position for connection state
 * recovery: a client that reconnects with it receives what it missed. An event that asks for an acknowledgement has an
 * id: `427["channel/follow",{…}]` is answered by `437[{…}]`. Polling, acknowledgements of the page and binary
 * attachments are left out. The npm package socket.io-client has all three and works here unchanged.
 */

const OPEN = "0",
  CLOSE = "1",
  PING = "2",
  PONG = "3",
  MESSAGE = "4"; // Engine.IO
const CONNECT = "0",
  DISCONNECT = "1",
  EVENT = "2",
  ACK = "3",
  CONNECT_ERROR = "4"; // Socket.IO
const OPENING_TIMEOUT = 8_000; // milliseconds from the first attempt to CONNECT
const LONGEST_DELAY = 8_000; // milliseconds between two attempts

export class Socket {
  #url;
  #namespace;
  #auth;
  #onState;
  #handlers = new Map();
  #transport = null; // the current WebSocket; events of an older one are ignored
  #patience = 0; // milliseconds of silence after which the connection is treated as lost
  #silence; // its timer
  #retry; // timer of the next attempt
  #attempts = 0;
  #recovery = null; // {pid, offset}: what the server needs for a replay
  #answers = new Map(); // ack id → what is called with the answer
  #asked = 0;

  state = "closed"; // connecting | live | waiting | refused | closed

  /**
   * @param {string} url         of the Engine.IO endpoint, as http(s) or ws(s)
   * @param {() => object} auth  called at every attempt, so that a renewed token is used
   * @param {(state: string, detail: object) => void} onState
   *        the new state, with {recovered} of live, {retryAt, attempts} of waiting, {message, data} of refused
   */
  constructor({ url, auth, onState, namespace = "/" }) {
    this.#url = new URL(url);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#url.search = "?EIO=4&transport=websocket";
    this.#namespace = namespace === "/" ? "" : `${namespace},`;
    this.#auth = auth;
    this.#onState = onState;
    addEventListener("online", () => this.state === "waiting" && this.connect());
  }

  /** Call `handler(...args)` for every event of that name. */
  on(event, handler) {
    this.#handlers.set(event, handler);
    return this;
  }

  /** Send an event. False: not connected, nothing was sent. */
  emit(event, ...args) {
    if (this.state !== "live") return false;
    this.#send(EVENT + this.#namespace, [event, ...args]);
    return true;
  }

  /** Send an event. Resolves with the server's answer, or null if the connection is lost before it comes. */
  ask(event, ...args) {
    if (this.state !== "live") return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#answers.set(++this.#asked, resolve);
      this.#send(EVENT + this.#namespace + this.#asked, [event, ...args]);
    });
  }

  /** Connect now, also if an attempt is planned for later. */
  connect() {
    this.#drop();
    this.#become("connecting");
    const transport = (this.#transport = new WebSocket(this.#url));
    const inCharge = () => this.#transport === transport;
    transport.onmessage = ({ data }) => inCharge() && this.#receive(data);
    transport.onclose = () => inCharge() && this.#lost();
    this.#patience = OPENING_TIMEOUT;
    this.#restartSilenceTimer();
  }

  /** Disconnect until `connect()` is called. */
  close() {
    this.#drop();
    this.#recovery = null;
    this.#become("closed");
  }

  #receive(packet) {
    const [type, data] = [packet[0], packet.slice(1)];
    if (type === OPEN) {
      const { pingInterval, pingTimeout } = JSON.parse(data);
      this.#patience = pingInterval + pingTimeout;
      this.#send(CONNECT + this.#namespace, { ...this.#auth(), ...this.#recovery });
    } else if (type === PING) this.#transport.send(PONG);
    else if (type === CLOSE) this.#lost();
    else if (type === MESSAGE) this.#message(data);
    this.#restartSilenceTimer();
  }

  #message(packet) {
    // Namespace and ack id are optional. The page uses one namespace, so it is skipped.
    const [, type, id, data] = /^([0-4])(?:\/[^,]*,)?(\d*)(.*)$/s.exec(packet) ?? [];
    const value = data ? JSON.parse(data) : undefined;
    if (type === CONNECT) {
      const recovered = Boolean(value.pid) && value.pid === this.#recovery?.pid;
      this.#recovery = recovered ? this.#recovery : value.pid ? { pid: value.pid } : null;
      this.#attempts = 0;
      this.#become("live", { recovered });
    } else if (type === EVENT) {
      const [event, ...args] = value;
      if (this.#recovery && typeof args.at(-1) === "string") this.#recovery.offset = args.at(-1);
      this.#handlers.get(event)?.(...args);
    } else if (type === ACK) {
      this.#answers.get(Number(id))?.(value[0]);
      this.#answers.delete(Number(id));
    } else if (type === CONNECT_ERROR || type === DISCONNECT) {
      // The server refused the client. It would refuse the same token again.
      this.#drop();
      this.#recovery = null;
      this.#become("refused", value ?? { message: "disconnected by the server" });
    }
  }

  #send(head, value) {
    this.#transport.send(MESSAGE + head + JSON.stringify(value));
  }

  /** Called for each packet. The server sends pings, so a longer silence means that the connection is lost. */
  #restartSilenceTimer() {
    clearTimeout(this.#silence);
    if (this.#transport) this.#silence = setTimeout(() => this.#lost(), this.#patience);
  }

  #lost() {
    this.#drop();
    // Doubling with jitter, so that clients do not all reconnect to a restarted server at once.
    const delay = Math.min(LONGEST_DELAY, 500 * 2 ** this.#attempts++) * (0.6 + 0.4 * Math.random());
    this.#retry = setTimeout(() => this.connect(), delay);
    this.#become("waiting", { retryAt: Date.now() + delay, attempts: this.#attempts });
  }

  #drop() {
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
    this.#transport?.close();
    this.#transport = null;
    for (const answered of this.#answers.values()) answered(null);
    this.#answers.clear();
  }

  #become(state, detail = {}) {
    this.state = state;
    this.#onState(state, detail);
  }
}
