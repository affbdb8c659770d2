// React and Vue around a nearsight, as applications use them.
import { isProxy, reactive } from '@vue/reactivity';
import type { Nearsight } from 'nearsight';
import { createElement, StrictMode, useEffect, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';

export { isProxy, reactive };

/** An application in React's strict mode, which mounts each component twice in development. */
export function mountInReact(near: Nearsight): {
  /** The states that the component showed, in order. */
  shown: (string | null)[];
  /** `loaded` or the error's code, for each load. */
  loads: string[];
  unmount: () => void;
} {
  const shown: (string | null)[] = [];
  const loads: string[] = [];
  const element = document.body.appendChild(document.createElement('div'));
  function App(): string {
    const { state } = useSyncExternalStore(near.status.subscribe, () => near.status.value);
    useEffect(() => void shown.push(element.textContent), [state]);
    useEffect(() => {
      near.load().then(
        () => loads.push('loaded'),
        (error: { code: string }) => loads.push(error.code),
      );
      return () => void near.unload();
    }, []);
    return state;
  }
  const root = createRoot(element);
  root.render(createElement(StrictMode, null, createElement(App)));
  return { shown, loads, unmount: () => root.unmount() };
}

/** A proxy that wraps every value read through it. Functions are wrapped too, so their `this` is a proxy. */
export function wrapped<T extends object>(target: T): T {
  return new Proxy(target, {
    get(from, key, receiver) {
      const value: unknown = Reflect.get(from, key, receiver);
      const wrappable = typeof value === 'function' || (typeof value === 'object' && value !== null);
      return wrappable && !(value instanceof URL) ? wrapped(value) : value;
    },
  });
}
