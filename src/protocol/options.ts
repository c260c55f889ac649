/** How every factory checks its options at construction: unknown names and wrong values are TypeErrors with the fix. */

export interface OptionCheck {
  /** Completes the sentence "must be …". */
  readonly expected: string;
  accepts(value: unknown): boolean;
}

/** One check for each option of `T`: an option without one does not compile. */
export type OptionChecks<T> = { readonly [Name in keyof T]-?: OptionCheck };

export const aBoolean: OptionCheck = {
  expected: "true or false",
  accepts: (value) => typeof value === "boolean",
};

export const aFunction: OptionCheck = {
  expected: "a function",
  accepts: (value) => typeof value === "function",
};

export const aNonBlankString: OptionCheck = {
  expected: "a string that is not blank",
  accepts: (value) => typeof value === "string" && value.trim() !== "",
};

export const anObject: OptionCheck = { expected: "an object", accepts: isOptionsObject };

/** For `accepts`: an object that has these methods. */
export function hasMethods(...names: string[]): (value: unknown) => boolean {
  return (value) =>
    typeof value === "object" &&
    value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
}

export function anInteger(minimum: number, maximum: number, unit: string): OptionCheck {
  const upTo = maximum === Number.MAX_SAFE_INTEGER ? "or more" : `to ${maximum}`;
  return {
    expected: `an integer of ${minimum} ${upTo} (${unit})`,
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum,
  };
}

/** For an option whose own parser checks it. */
export const checkedByItsParser: OptionCheck = { expected: "valid", accepts: () => true };

/** Not an array, nor a `Map`, nor the promise of the options: none of them has what it looks as if it had. */
export function isOptionsObject(value: unknown): value is object {
  return Object.prototype.toString.call(value) === "[object Object]";
}

/** A copy to take values and defaults from: a polluted `Object.prototype` configures nothing. */
export function ownProperties<T extends object>(options: T): T {
  return Object.assign(Object.create(null) as T, options);
}

/**
 * @param where begins the message: the function whose options these are
 * @returns a copy; an option that is `undefined` counts as left out, and so do all of them for `undefined`
 * @throws TypeError
 */
export function checkOptions<T extends object>(where: string, given: T | undefined, checks: OptionChecks<T>): T {
  const checked = ownProperties<Partial<T>>({});
  if (given === undefined) return checked as T;
  if (!isOptionsObject(given)) throw new TypeError(`${where}: the options must be an object`);
  for (const name of Object.keys(given) as (keyof T & string)[]) {
    if (!Object.hasOwn(checks, name)) {
      const known = Object.keys(checks).join(", ");
      throw new TypeError(`${where}: there is no option ${JSON.stringify(name)}; the options are ${known}`);
    }
    const value = given[name]; // read once: what is checked is what is used
    if (value === undefined) continue;
    if (!checks[name].accepts(value)) throw new TypeError(`${where}: ${name} must be ${checks[name].expected}`);
    checked[name] = value;
  }
  return checked as T;
}
