import { clearTimeout, IntrinsicPromise, setTimeout } from "./captured-globals.js";

export type MaybePromise<T> = T | Promise<T>;

/** Not only promises: other code brings its own, and a query builder is sent by its `then`. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  return typeof (value as { then?: unknown }).then === "function";
}

/** What `use` makes of a value: at once, or of what it resolves to. */
export function whenSettled<T, Result>(
  value: T | PromiseLike<T>,
  use: (value: T) => Result | Promise<Result>,
): Result | Promise<Result> {
  return isThenable(value) ? (async () => use(await value))() : use(value);
}

/** Waits for `work`, but at most `duration` ms: then for what `late` gives. The timer keeps no process alive. */
export async function withDeadline<T, Late>(
  work: PromiseLike<T>,
  duration: number,
  late: () => Late,
): Promise<T | Late> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new IntrinsicPromise<Late>((resolve) => {
    timer = setTimeout(() => {
      resolve(late());
    }, duration);
    (timer as { unref?: () => void }).unref?.(); // a number, on some runtimes
  });
  try {
    return await IntrinsicPromise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** The same, but after `duration` ms it rejects with an error of this message. */
export async function beforeDeadline<T>(work: PromiseLike<T>, duration: number, message: string): Promise<T> {
  const late = new Error(message);
  const settled = await withDeadline(work, duration, () => late);
  if (settled === late) throw late;
  return settled as T;
}

/** The timer keeps the process alive: someone waits for what comes after it. */
export function pause(duration: number): Promise<void> {
  return new IntrinsicPromise((resolve) => setTimeout(resolve, duration));
}
