/** Keys: which of a set are usable, and how the set is fetched, kept, shared and let go. */

import { decisionsOf, type Decision } from "../decision.js";

const KEY = "verify/verifier.test.ts > usable: ";
const OUTAGE = "faults/outage.test.ts";
const ENDPOINT = "faults/endpoint.test.ts";
const ROTATION = "faults/rotation.test.ts";
const STORE = "faults/store.test.ts";
const OPTIONS = "verify/options.test.ts";
const LOG = "verify/token-verifier.test.ts > fit for a log";

export const DECISIONS_ON_KEYS: Decision[] = [
  ...decisionsOf("verify/key-set.ts", KEY, [
    [
      "the first key with a kid decides",
      'if (typeof kid === "string" && !byKid.has(kid)) byKid',
      'if (typeof kid === "string") byKid',
    ],
    [
      "a first key that is not usable decides as well",
      'if (typeof kid === "string" && !byKid.has(kid)) byKid',
      'if (typeof kid === "string" && !byKid.get(kid)) byKid',
    ],
    ["a bad entry is skipped", 'if (typeof entry !== "object" || entry === null) continue;', ""],
    ["a key id is fit for a log", "[printable(kid)]));", "[kid]));", LOG],
    ["use is sig", 'if (isPresent(use) && use !== "sig") return undefined;', ""],
    ["alg of a key is RS256", 'if (isPresent(alg) && alg !== "RS256") return undefined;', ""],
    ["key_ops is looked at", "if (isPresent(operations) && !allowsVerifying(operations)) return undefined;", ""],
    [
      "key_ops contains verify",
      '!Array.isArray(operations) || !operations.includes("verify")',
      "!Array.isArray(operations)",
    ],
    ["key_ops is an array", "!Array.isArray(operations) || !operations", "!operations"],
    [
      "key_ops are all strings",
      'return operations.every((operation) => typeof operation === "string");',
      "return true;",
    ],
    ["a modulus has at least 2048 bits", "bits < MIN_MODULUS_BITS || ", ""],
    ["a modulus has at most 8192 bits", " || bits > MAX_MODULUS_BITS", ""],
    ["an exponent is at least 3", "exponent < MIN_EXPONENT || ", ""],
    ["an exponent is below 2^33", "exponent > MAX_EXPONENT || ", ""],
    ["an exponent is odd", " || exponent % 2n === 0n", ""],
    ["a modulus is canonical", "!isCanonicalInteger(jwk.n) || ", ""],
    ["an exponent is canonical", " || !isCanonicalInteger(jwk.e)", ""],
    [
      "numbers of a key have no leading zero",
      "return (decodeCanonicalBase64url(text)?.[0] ?? 0) !== 0;",
      "return decodeCanonicalBase64url(text) !== undefined;",
    ],
    [
      "numbers of a key are canonical base64url",
      "(decodeCanonicalBase64url(text)?.[0] ?? 0)",
      '(Buffer.from(text, "base64url")[0] ?? decodeCanonicalBase64url("")?.[0] ?? 0)',
    ],
    ["modulus and exponent are strings", 'typeof n !== "string" || typeof e !== "string"', "n === null"],
    [
      "a set without a usable key is none",
      "return kids.length > 0 ? { byKid",
      "return kids.length >= 0 ? { byKid",
      `${OPTIONS} > keySet`,
    ],
    [
      "a key with another modulus is another key",
      "if (previous?.jwk.n === n && previous.jwk.e === e) return previous;",
      "if (previous?.jwk.e === e) return previous;",
      `${ROTATION} > a key replaced under its kid`,
    ],
    [
      "a key with another exponent is another key",
      "if (previous?.jwk.n === n && previous.jwk.e === e) return previous;",
      "if (previous?.jwk.n === n) return previous;",
      `${ROTATION} > a key replaced under its kid by one`,
    ],
    [
      "private members of a key are dropped",
      "return importRsaKey(kid, { kty, n, e });",
      "return importRsaKey(kid, { ...jwk, kty, n, e });",
      `${STORE} > the entry is written`,
    ],
  ]),
  ...decisionsOf("verify/jwks-fetch.ts", ENDPOINT, [
    [
      "redirects are not followed",
      'redirect: "manual",',
      'redirect: "follow" as "manual",',
      `${ENDPOINT} > a redirect is not followed`,
    ],
    [
      "what a custom fetch was redirected to is not taken",
      'if (response.redirected) return { status, error: "the answer was redirected" };',
      "",
      `${ENDPOINT} > a custom fetch`,
    ],
    ["only status 200 is an answer", "if (status !== 200) {", "if (!response.ok) {", `${ENDPOINT} > status 203`],
    [
      "at most 256 KiB are read",
      "if (size > MAX_JWKS_SIZE) return undefined;",
      "",
      `${ENDPOINT} > sending 200 MB and more costs`,
    ],
    [
      "one deadline for the whole fetch",
      "return await Promise.race([download(request, abort.signal), deadline]);",
      "return await download(request, (void deadline, abort.signal));",
      `${ENDPOINT} > dripping costs`,
    ],
    [
      "what is left of an answer is not read",
      "abort.abort(); // whatever",
      "// whatever",
      `${ENDPOINT} > a stream that does not end`,
    ],
    [
      "a stream of a custom fetch is not read past the deadline",
      "signal.throwIfAborted();",
      "",
      `${ENDPOINT} > a stream that does not end`,
    ],
    [
      "an answer is made of bytes, which can be counted",
      'if (!(chunk instanceof Uint8Array)) throw new TypeError("not a byte stream");',
      "",
      `${ENDPOINT} > a custom fetch`,
    ],
    [
      "whatever a custom fetch rejects with is a failed fetch",
      "    return { error: describeNetworkError(error) };",
      "    return { error: String((error as Error).message) };",
      `${ENDPOINT} > a custom fetch`,
    ],
    [
      "of a failed fetch nothing is repeated but a code",
      'typeof value === "string" && /^[A-Z][A-Z0-9_]*$/.test(value)',
      'typeof value === "string"',
      `${ENDPOINT} > a custom fetch`,
    ],
    [
      "what a library says of a failed fetch is not repeated",
      '  return "no answer";',
      "  return `no answer: ${String((error as Error | undefined)?.message)}`;",
      `${ENDPOINT} > a custom fetch`,
    ],
  ]),
  ...decisionsOf("verify/back-off.ts", ENDPOINT, [
    [
      "an endpoint silences us for 30 s at most",
      "Math.min(asked, LONGEST_DELAY)",
      "asked",
      `${ENDPOINT} > what Retry-After asks for`,
    ],
  ]),
  ...decisionsOf("verify/remote-keys.ts", OUTAGE, [
    [
      "past its ceiling a set serves nobody",
      "set !== undefined && now - set.askedAt < cacheMaxAge + staleIfErrorDuration ? set",
      "set !== undefined && now >= cacheMaxAge - staleIfErrorDuration - Infinity ? set",
      `${OUTAGE} > resolves in an outage while`,
    ],
    [
      "the late failure of an earlier fetch is no failure of the endpoint",
      "if (fetchNumber < this.#lastGoodFetch) return false;",
      "",
      "faults/store.test.ts > overtakes a fetch that fails",
    ],
    [
      "past cacheMaxAge a request waits for a refresh",
      "if (age >= cacheMaxAge && !this.#backOff.failing) return this.#keyAfterRefresh(kid, fetchesBefore);",
      "",
      "verify/token-verifier.test.ts > passes the middleware synchronously",
    ],
    [
      "from half its age a set is refreshed",
      "if (age >= cacheMaxAge / 2 && this",
      "if (age >= cacheMaxAge && this",
      "verify/token-verifier.test.ts > passes the middleware synchronously",
    ],
    [
      "a cold request respects the back-off",
      "if (this.#refreshing === undefined && backingOff) return this.#unavailable(kid);",
      "void backingOff;",
      `${ENDPOINT} > an endpoint that is status 500 costs`,
    ],
    [
      "a background refresh respects the back-off",
      " && this.#backOff.remaining(now) === 0) void this.#refresh();",
      ") void this.#refresh();",
      `${OUTAGE} > an unknown kid respects the back-off`,
    ],
    [
      "an unknown kid respects the back-off",
      "if (this.#backOff.remaining(now) > 0) return this.#unavailable(kid);",
      "",
      `${OUTAGE} > an unknown kid respects the back-off`,
    ],
    [
      "unknown kids cause one refresh a window",
      "this.#window.openedAt + this.#settings.cooldownDuration - now;",
      "0;",
      `${ROTATION} > the next window`,
    ],
    [
      "no keys at all is never a 401",
      `    if (set === undefined) return this.#unavailable(kid);
    return set.keys.byKid.get(kid) ?? this.#unknownKid(kid, fetchesBefore);`,
      `    if (set === undefined) return this.#untrusted(kid);
    return set.keys.byKid.get(kid) ?? this.#unknownKid(kid, fetchesBefore);`,
      `${ENDPOINT} > a refused connection`,
    ],
    [
      "an unknown kid whose refresh failed is never a 401",
      "return this.#unavailable(kid, windowRemaining);",
      "return this.#untrusted(kid);",
      `${OUTAGE} > an unknown kid in an outage`,
    ],
    [
      "an unknown kid is refused only for an answer that was asked for after it came",
      "const fetchesBefore = this.#fetches;",
      "const fetchesBefore = this.#fetches - 1;",
      `${ROTATION} > an unknown kid that meets a refresh`,
    ],
    [
      "a failed answer never displaces a good set",
      "this.#lastError = answer.error;",
      "this.#lastError = answer.error;\n      this.#current = undefined;",
      `${ENDPOINT} > an endpoint that is status 500 never displaces`,
    ],
    [
      "a good answer that lacks a key revokes it",
      "this.#current = { keys, askedAt, fetchedAt };",
      "this.#current = { keys: { ...keys, byKid: new Map([...(this.#current?.keys.byKid ?? []), ...keys.byKid]) }, askedAt, fetchedAt };",
      `${ROTATION} > a key that a good answer lacks`,
    ],
    [
      "an answer that was asked for earlier never replaces a newer set",
      "if (askedAt < (this.#current?.askedAt ?? -Infinity)) return true;",
      "",
      `${STORE} > gives what was fetched after`,
    ],
    [
      "an older entry of the store never replaces a newer set",
      "stored === undefined || stored.fetchedAt <= (this.#current?.fetchedAt ?? -Infinity)",
      "stored === undefined",
      `${STORE} > older than the set, brings back`,
    ],
    [
      "an old entry of the store means a fetch",
      "return age < this.#settings.cacheMaxAge;",
      "return true;",
      `${STORE} > older than cacheMaxAge`,
    ],
    [
      "an entry of the store has the age that it says",
      "askedAt: performance.now() - age };",
      "askedAt: performance.now() };",
      `${STORE} > is past the ceiling`,
    ],
    [
      "a store that hangs is given up",
      "await Promise.race([read, delay(STORE_TIMEOUT)]);",
      "await read;",
      `${STORE} > hangs while the backend is down`,
    ],
    [
      "a store that hangs delays nobody",
      "if (await Promise.race([adopted, delay(STORE_HEAD_START)])) return;",
      "if (await (void STORE_HEAD_START, adopted)) return;",
      `${STORE} > hangs delays nobody`,
    ],
    [
      "concurrent requests share one fetch",
      "this.#refreshing ??= this.#load(readStore)",
      "this.#refreshing = this.#load(readStore)",
      "faults/stampede.test.ts",
    ],
    [
      "the key id of a refused token is fit for a log",
      "kid: printable(kid)",
      "kid",
      "verify/token-verifier.test.ts > an operator finds",
    ],
    [
      "a store does not answer for an unknown kid",
      "void this.#refresh({ readStore: false });",
      "void this.#refresh();",
      `${STORE} > is not asked for when`,
    ],
  ]),
  ...decisionsOf("verify/jwks-store.ts", STORE, [
    ["an entry from the future counts as absent", " || fetchedAt > Date.now()", "", `${STORE} > is from the future`],
    [
      "an entry without a date counts as absent",
      'if (typeof fetchedAt !== "number" || !Number.isSafeInteger(fetchedAt) || fetchedAt > Date.now()) return undefined;',
      'if (typeof fetchedAt !== "number") return { keys: parseJwks(Buffer.from(jwks)) as KeySet, fetchedAt: Date.now() };',
      `${STORE} > has no date`,
    ],
    [
      "a store that fails counts as an empty one",
      "  } catch {\n    return undefined;\n  }\n}\n\n/** @param ttl",
      "  } catch (error) {\n    throw error;\n  }\n}\n\n/** @param ttl",
      `${STORE} > rejects delays nobody`,
    ],
    [
      "an entry is no larger than a response may be",
      " || jwks.length > MAX_JWKS_SIZE",
      "",
      `${STORE} > is larger than a response`,
    ],
    [
      "an entry is named by the whole JWKS URL",
      "`agent-identity-auth:jwks:${jwksUrl}`",
      "`agent-identity-auth:jwks:${new URL(jwksUrl).pathname}`",
    ],
  ]),
  ...decisionsOf("verify/jwks-resolver.ts", OPTIONS, [
    [
      "a resolver for another JWKS URL is refused",
      "if (jwks.url !== url) {",
      'if (jwks.url === "") {',
      `${OPTIONS} > a wrong option`,
    ],
    [
      "jwksUrl is held to the rules of the base URL",
      'parseServerUrl("jwksUrl", jwksUrl, allowInsecureHttp).href',
      "(void parseServerUrl, new URL(jwksUrl)).href",
      `${OPTIONS} > jwksUrl`,
    ],
    [
      "keySet and jwksUrl exclude each other",
      "    if (jwksUrl !== undefined) {",
      "    if (jwksUrl === null) {",
      `${OPTIONS} > keySet`,
    ],
    [
      "keySet excludes what is said of an endpoint",
      "if (Object.keys(options).length > 0) {",
      "if (Object.keys(options).length < 0) {",
      `${OPTIONS} > keySet`,
    ],
    [
      "a resolver with options of its own is nobody else's",
      "return createKeySource(where, url, location, checkOptions(`${where}: jwks`, jwks as JwksOptions, JWKS_OPTION_CHECKS));",
      "const own = createKeySource(where, url, location, checkOptions(`${where}: jwks`, jwks as JwksOptions, JWKS_OPTION_CHECKS));\n  sharedResolvers.set(url, own);\n  return own;",
      "verify/token-verifier.test.ts > any jwks options make a private one",
    ],
    [
      "durations are finite integers",
      'const atLeast = (minimum: number) => anInteger(minimum, Number.MAX_SAFE_INTEGER, "ms");',
      "const atLeast = (_: number) => checkedElsewhere;",
      `${OPTIONS} > cacheMaxAge`,
    ],
  ]),
  ...decisionsOf("verify/static-keys.ts", "verify/verifier.test.ts > 4. key", [
    [
      "a static set has no key for an unknown kid",
      "return this.#keys.byKid.get(kid) ??",
      "return this.#keys.byKid.get(kid) ?? [...this.#keys.byKid.values()][0] ??",
    ],
    ["the key id of a refused token is fit for a log, of a static set too", "kid: printable(kid)", "kid", LOG],
  ]),
  ...decisionsOf("protocol/printable.ts", LOG, [
    ["what is logged of somebody else's text is short", "text.slice(0, 256)", "text"],
    ["what is logged of somebody else's text has no control characters", '.replace(/\\p{C}/gu, "")', ""],
  ]),
  {
    name: "base URLs share no resolver",
    edits: [
      { file: "verify/jwks-resolver.ts", find: "sharedResolvers.get(url)", replace: 'sharedResolvers.get("")' },
      {
        file: "verify/jwks-resolver.ts",
        find: "sharedResolvers.set(url, shared)",
        replace: 'sharedResolvers.set("", shared)',
      },
    ],
    noticedBy: "faces/express.test.ts > two backends on one server",
  },
];
