/** Listeners by event name. */
export class Listeners<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Call a function with each event of this name. Returns a function that removes it. */
  add<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // A function that is added twice is called twice, and each addition is removed separately.
    const own = (event: Events[Name]): void => {
      listener(event);
    };
    listeners.add(own);
    return () => {
      listeners.delete(own);
    };
  }

  /** Call all listeners. An exception does not stop the others; it is reported as uncaught, as by an `EventTarget`. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (event: Events[Name]) => void)(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
