/** A backend of one's own: its keys, what it mints, and the registration of tasks. */

import { decisionsOf, type Decision } from "../decision.js";

const ISSUER = "issuer/issuer.test.ts";
const ROTATE = `${ISSUER} > rotate: published first`;
const REGISTRATION = `${ISSUER} > is refused for each fault`;
const TASK = `${ISSUER} > is good for 24 h`;

export const DECISIONS_ON_THE_ISSUER: Decision[] = [
  ...decisionsOf("issuer/signing-keys.ts", ROTATE, [
    [
      "a new key is published before it signs",
      "await createKey(nowInSeconds() + delay)",
      "await createKey(nowInSeconds() + delay - delay)",
    ],
    [
      "a key that is published ahead does not sign yet",
      "keys.filter(({ signsFrom }) => signsFrom <= now)",
      "keys.filter(({ signsFrom }) => signsFrom <= now + Infinity)",
    ],
    [
      "a key that does not sign yet is published",
      "if (key === signer || key.signsFrom > now) return true;",
      "if (key === signer) return true;",
    ],
    [
      "a key is served while a token of its lives",
      "return (await this.#lastExpiry(key.kid)) + LONGEST_CLOCK_TOLERANCE > now;",
      "return false;",
    ],
    [
      "a key is served while a verifier may tolerate a token of its",
      "(await this.#lastExpiry(key.kid)) + LONGEST_CLOCK_TOLERANCE > now",
      "(await this.#lastExpiry(key.kid)) > now",
    ],
    [
      "a key is served no longer than it is needed",
      "return (await this.#lastExpiry(key.kid)) + LONGEST_CLOCK_TOLERANCE > now;",
      "return true;",
    ],
    [
      "the last token of a key is the one that lives longest",
      "if (!this.#given && expiresAt > (await this.#lastExpiry(kid))) {",
      "if (!this.#given) {",
    ],
    [
      "rotation keeps the keys that are needed",
      "[...published, await createKey",
      "[...published.slice(1), await createKey",
    ],
    [
      "private members of signing keys are not published",
      '...(publicKey.export({ format: "jwk" }) as JWK & { kty: "RSA" }) };',
      '...(publicKey.export({ format: "jwk" }) as JWK & { kty: "RSA" }), ...privateJwk };',
      `${ISSUER} > are published with public members`,
    ],
    [
      "keys that are made have 2048 bits",
      '("rsa", { modulusLength: 2048 });\n  return storedKey',
      '("rsa", { modulusLength: 1024 });\n  return storedKey',
      `${ISSUER} > has safe defaults`,
    ],
    [
      "what a library says of a private key is not shown",
      "  } catch {\n    // Said below",
      "  } catch (error) {\n    throw error;\n    // Said below",
      `${ISSUER} > options`,
    ],
    [
      "entries share no name with the resolver's",
      '"agent-identity-auth:issuer:signing-keys"',
      '"agent-identity-auth:jwks:signing-keys"',
      `${ISSUER} > shares no name`,
    ],
    [
      "given keys are private RSA keys",
      `if (object?.type !== "private" || object.asymmetricKeyType !== "rsa") {`,
      `if (object === undefined) {`,
      `${ISSUER} > options`,
    ],
    [
      "given keys are as long as verifiers demand",
      'if (typeof parseKeySet({ keys: [publicJwk(key.kid, key.privateJwk)] }) === "string") {',
      'if (parseKeySet({ keys: [publicJwk(key.kid, key.privateJwk)] }) === "") {',
      `${ISSUER} > options`,
    ],
    [
      "given keys are not rotated in the store",
      'if (this.#given) throw new TypeError("rotateKey: signingKeys were given: rotate by giving others");',
      "",
      `${ISSUER} > may be given`,
    ],
    [
      "given keys are not written to the store",
      "if (!this.#given && expiresAt > (await",
      "if (expiresAt > (await",
      `${ISSUER} > may be given`,
    ],
  ]),
  ...decisionsOf("issuer/mint.ts", `${ISSUER} > mint`, [
    ["an id that is minted has the form of one", "  agentRuntimeId: anId,", "  agentRuntimeId: aNonBlankString,"],
    [
      "an account is not minted blank",
      "  accountId: aNonBlankString,",
      '  accountId: { expected: "", accepts: () => true },',
    ],
    [
      "a user is not minted blank",
      "  chatgptUserId: aNonBlankString,",
      '  chatgptUserId: { expected: "", accepts: () => true },',
    ],
    ["a token lives for a week unless it is told otherwise", "lifetime = 604_800", "lifetime = 604_800_000"],
    [
      "account and user are always given",
      "if (accountId === undefined || chatgptUserId === undefined) {",
      "if (accountId === null || chatgptUserId === null) {",
    ],
    [
      "only the public half of an agent's key is kept",
      "publicKey: exportJwk(publicKey),",
      "publicKey: exportJwk(privateKey),",
    ],
    [
      "an agent expires with its token",
      `    chatgptAccountIsFedramp,
    expiresAt,
  };`,
      `    chatgptAccountIsFedramp,
    expiresAt: expiresAt + 10 ** 10,
  };`,
      REGISTRATION,
    ],
  ]),
  ...decisionsOf("issuer/agents.ts", TASK, [
    [
      "the same registration has the same task",
      'hash("sha256", `${agentRuntimeId}:${registeredAt}`, "base64url")',
      'hash("sha256", `${agentRuntimeId}:${registeredAt}:${Math.random()}`, "base64url")',
    ],
    [
      "agents that register within one second have tasks of their own",
      'hash("sha256", `${agentRuntimeId}:${registeredAt}`, "base64url")',
      'hash("sha256", `${registeredAt}`, "base64url")',
      `${ISSUER} > has another task for each agent`,
    ],
    [
      "a task lives for 24 h from the signed time",
      "expiresAt: registeredAt + TASK_LIFETIME",
      "expiresAt: nowInSeconds() + TASK_LIFETIME",
    ],
    [
      "a revoked agent is gone",
      "await this.#store.delete(agentEntry(agentRuntimeId));",
      "await Promise.resolve(agentRuntimeId);",
      REGISTRATION,
    ],
  ]),
  ...decisionsOf("issuer/codex-router.ts", REGISTRATION, [
    [
      "a registration that is refused makes no task",
      "if (registeredAt instanceof Refusal) {\n      answerRefusal(res, registeredAt);\n      return;\n    }\n    const taskId = await agents.registerTask(agentRuntimeId, registeredAt);",
      "const taskId = await agents.registerTask(agentRuntimeId, Number(registeredAt));",
    ],
    [
      "a registration is JSON by its type",
      'if (!/^application\\/json *(;|$)/i.test(req.headers["content-type"] ?? "")) {',
      'if (req.headers["content-type"] === "") {',
    ],
    ["a registration has at most 4 KiB", 'if (size > MAX_BODY_SIZE) return "too large";', ""],
    [
      "a registration has exactly its members",
      'if (!hasExactly(body, ["timestamp", "signature"])) {',
      "if (body === undefined) {",
    ],
    [
      "refusals of the router are not cached",
      '  res.setHeader("Cache-Control", "no-store");\n  answer(res, status',
      "  answer(res, status",
    ],
    [
      "a task is not cached",
      '    res.setHeader("Cache-Control", "no-store");\n    answer(res, 200',
      "    answer(res, 200",
      `${ISSUER} > works under any prefix`,
    ],
    [
      "the JWKS is only read",
      'if (req.method !== "GET" && req.method !== "HEAD") {',
      'if (req.method === "") {',
      `${ISSUER} > serves the JWKS at /agent`,
    ],
    [
      "what a store says in its errors is not shown",
      'served.catch(() => {\n      answerRefusal(res, new Refusal("directory_unavailable", { reason: "the issuer\'s store failed" }, 1));',
      "served.catch((error: unknown) => {\n      res.writeHead(503).end(JSON.stringify({ error: String(error) }));",
      `${ISSUER} > a store that fails`,
    ],
  ]),
  ...decisionsOf("issuer.ts", `${ISSUER} > makes bad tokens for tests`, [
    [
      "a foreign key is none that is trusted",
      'foreignKey ? generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey : privateKey',
      'foreignKey && generateKeyPairSync("ed25519") ? privateKey : privateKey',
    ],
  ]),
];
