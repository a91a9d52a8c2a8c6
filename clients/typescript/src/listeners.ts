/** Listeners, by the event's name. */
export class Listeners<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Call a function with each event of this name. Returns a function that stops this. */
  add<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // A function that is added twice is called twice, and each is removed by itself.
    const own = (event: Events[Name]): void => {
      listener(event);
    };
    listeners.add(own);
    return () => {
      listeners.delete(own);
    };
  }

  /** Call all listeners. An exception does not stop the others; it is reported as uncaught, like that of an event target. */
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
