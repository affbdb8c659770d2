// What applications put around a nearsight, as their frameworks do it.
import { isProxy, reactive } from '@vue/reactivity';
import type { Nearsight } from 'nearsight';
import { createElement, StrictMode, useEffect, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';

export { isProxy, reactive };

/** An application in React's strict mode, which mounts each component twice in development. */
export function mountInReact(near: Nearsight): {
  /** What is on the page. */
  text: () => string | null;
  /** What became of each load. */
  loads: string[];
  unmount: () => void;
} {
  const loads: string[] = [];
  function App(): string {
    const { state } = useSyncExternalStore(near.status.subscribe, () => near.status.value);
    useEffect(() => {
      near.load().then(
        () => loads.push('loaded'),
        (error: { code: string }) => loads.push(error.code),
      );
      return () => void near.unload();
    }, []);
    return state;
  }
  const element = document.body.appendChild(document.createElement('div'));
  const root = createRoot(element);
  root.render(createElement(StrictMode, null, createElement(App)));
  return { text: () => element.textContent, loads, unmount: () => root.unmount() };
}

/** A proxy that wraps whatever is read through it, functions too, whose `this` is then a proxy. */
export function wrapped<T extends object>(target: T): T {
  return new Proxy(target, {
    get(from, key, receiver) {
      const value: unknown = Reflect.get(from, key, receiver);
      const plain = typeof value === 'function' || (typeof value === 'object' && value !== null);
      return plain && !(value instanceof URL) ? wrapped(value) : value;
    },
  });
}
