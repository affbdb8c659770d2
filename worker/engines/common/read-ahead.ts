/**
 * Reads items one after the other, each while the one before it is being used: the next read starts as soon as an item is
 * handed out. So the network is busy while sessions are created, and two items at most are in memory.
 *
 * @returns gives the items in order
 */
export function readAhead<Name, Item>(
  names: readonly Name[],
  read: (name: Name) => Promise<Item>,
): () => Promise<Item> {
  const pending = [...names];
  const start = (): Promise<Item> | undefined => {
    const name = pending.shift();
    const item = name === undefined ? undefined : read(name);
    // A failure is reported when the item is asked for.
    item?.catch(() => {});
    return item;
  };
  let next = start();
  return async () => {
    const item = next;
    if (!item) throw new Error('There is nothing more to read.');
    await item;
    next = start();
    return item;
  };
}
