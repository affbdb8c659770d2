import { expose } from 'comlink';
import { createRuntime } from './runtime.ts';

// Held until this thread ends, however it ends: the page waits for the same lock, so that even a death without any
// event (out of memory, terminate) is noticed there.
const locked = new Promise<void>((resolve, reject) => {
  navigator.locks
    .request(self.name, () => {
      resolve();
      return new Promise<never>(() => {});
    })
    .catch(reject);
});

expose(createRuntime(locked));
