/** Frozen intrinsics do not let the limit be set: then stacks are captured. */
const canOmitStack = ((): boolean => {
  try {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = stackTraceLimit;
    return true;
  } catch {
    return false;
  }
})();

/** Runs something whose errors nobody debugs: a stack costs more than all the rest of a refusal. */
export function withoutStack<T>(run: () => T): T {
  if (!canOmitStack) return run();
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
