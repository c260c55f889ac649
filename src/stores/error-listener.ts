/** node-redis and pg emit "error" for each lost connection. Without a listener, that is an uncaught exception. */

import { warn } from "../runtime/warn.js";

/** Warns, because the first lost connection will end the process. */
export function warnWithoutErrorListener(store: string, client: object, name: string): void {
  const { listenerCount } = client as { listenerCount?: unknown };
  if (typeof listenerCount !== "function" || listenerCount.call(client, "error") !== 0) return;
  warn(
    `${store}: this ${name} has no listener for "error", so the first lost connection will end the process: write ${name}.on("error", console.error) before ${store}(${name})`,
  );
}
