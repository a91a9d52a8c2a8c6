import { useSyncExternalStore } from "react";

import type { ErrorCode, WebSocketClient } from "../../src/index.js";

export type Kind = "in" | "out" | "state" | "problem";

/** One line of the timeline: a frame, a change of the connection, or an error. */
export interface Entry {
  readonly id: number;
  readonly at: Date;
  readonly kind: Kind;
  readonly title: string;
  readonly detail: string;
}

/** The number of entries that are kept. Older ones are dropped. */
export const KEPT = 500;

const OWN_CODES: ReadonlySet<ErrorCode> = new Set(["CONNECTION_FAILED", "GAVE_UP", "INVALID_FRAME"]);

/** The events of a client, newest first. */
export class Timeline {
  #entries: readonly Entry[] = [];
  #count = 0;
  readonly #changed = new Set<() => void>();

  constructor(client: WebSocketClient) {
    client.on("received", ({ type, ...rest }) => {
      this.#add("in", type, "data" in rest ? rest.data : rest);
    });
    client.on("sent", ({ type, ...rest }) => {
      this.#add("out", type, rest);
    });
    client.on("status", ({ status, reconnectAttempts }) => {
      this.#add("state", status, reconnectAttempts === 0 ? {} : { reconnectAttempts });
    });
    client.on("error", ({ code, message }) => {
      // An error that the server sent is a frame, and is listed already.
      if (OWN_CODES.has(code)) {
        this.#add("problem", code, { message });
      }
    });
  }

  readonly entries = (): readonly Entry[] => this.#entries;

  readonly clear = (): void => {
    this.#set([]);
  };

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#changed.add(changed);
    return () => {
      this.#changed.delete(changed);
    };
  };

  #add(kind: Kind, title: string, detail: object): void {
    this.#count += 1;
    const text = Object.keys(detail).length === 0 ? "" : JSON.stringify(detail, null, 1);
    this.#set([{ id: this.#count, at: new Date(), kind, title, detail: text }, ...this.#entries.slice(0, KEPT - 1)]);
  }

  #set(entries: readonly Entry[]): void {
    this.#entries = entries;
    for (const changed of this.#changed) {
      changed();
    }
  }
}

export function useTimeline(timeline: Timeline): readonly Entry[] {
  return useSyncExternalStore(timeline.subscribe, timeline.entries);
}

/** A local time as the timeline shows it. */
export function clock(at: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const thousandths = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${thousandths}`;
}
