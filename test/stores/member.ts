/** One of several processes that use a store at the same time. Its parent says where and when. */

import { engineNamed } from "./engines.js";

export interface Race {
  engine: string;
  place: string;
  name: string;
  increments: number;
  /** ms since the epoch */
  at: number;
}

export interface Result {
  /** Whether this process made the entry. */
  isFirst: boolean;
  /** The reason why it could not. */
  error?: string;
}

process.on("message", (race: Race) => {
  void run(race).then(
    (isFirst) => process.send?.({ isFirst } satisfies Result),
    (error: unknown) => process.send?.({ isFirst: false, error: String(error) } satisfies Result),
  );
});
process.on("disconnect", () => process.exit());
process.send?.("ready");

async function run({ engine, place, name, increments, at }: Race): Promise<boolean> {
  const { store, ...opened } = await engineNamed(engine).open(place);
  while (Date.now() < at);
  try {
    const isFirst = await store.compareAndSet(name, undefined, "0");
    for (let done = 0; done < increments;) {
      const text = await store.get(name);
      if (text === undefined) throw new Error("the entry is gone");
      if (await store.compareAndSet(name, text, String(Number(text) + 1))) done++;
    }
    return isFirst;
  } finally {
    await opened.close();
  }
}
