/** Signing in: what is verified before it is written or trusted, where it is kept, and where it is sent. */

import { decisionsOf, type Decision } from "../decision.js";

const LOGIN = "login/login.test.ts";
const STORE = "login/auth-store.test.ts";
const TASKS = "login/task-registration.test.ts";
const ORDER = `${LOGIN} > CODEX_API_KEY, memory, CODEX_ACCESS_TOKEN`;
const RESTRICTIONS = `${LOGIN} > login restrictions`;
const FORGED = `${LOGIN} > an access token that is forged`;

export const DECISIONS_ON_LOGIN: Decision[] = [
  ...decisionsOf("login.ts", LOGIN, [
    [
      "nothing is written before it is verified",
      "const { identity } = await verifyToken(resolved, credentials.token);",
      "await saveCredentials(resolved.codexHome, resolved.storeMode, credentials);\n  const { identity } = await verifyToken(resolved, credentials.token);",
      FORGED,
    ],
    [
      "a token that is refused signs nobody in",
      "if (outcome instanceof Refusal) throw toVerifierError(outcome);",
      "if (outcome instanceof Refusal) return new AgentIdentityAuth({} as never, token, config.normalizedBaseUrl, toVerifierError.name);",
      FORGED,
    ],
    [
      "an access token is not taken where API keys are forced",
      'if (loginMethod === "api") {',
      "if (loginMethod === undefined) {",
      RESTRICTIONS,
    ],
    [
      "an API key is not taken where ChatGPT is forced",
      'if (restrictions.loginMethod === "chatgpt") {',
      "if (restrictions.loginMethod === null) {",
      RESTRICTIONS,
    ],
    [
      "a token of another workspace is not taken",
      "if (workspaceIds && !workspaceIds.includes(identity.accountId)) {",
      "if (workspaceIds === null) {",
      RESTRICTIONS,
    ],
    [
      "a violation is not passed over",
      "if (violation === undefined) return;",
      "if (violation === undefined || violation.code.length > 0) return;",
      RESTRICTIONS,
    ],
    ["a violation signs out", "await removeCredentials(resolved.codexHome);\n  throw", "throw", RESTRICTIONS],
    [
      "only a violation signs out",
      "if (violation === undefined) return;",
      "if (violation === undefined) return void (await removeCredentials(resolved.codexHome));",
      RESTRICTIONS,
    ],
    [
      "what cannot be verified does not sign out",
      "  const auth = await load(resolved, await findCredentials(resolved, { withApiKeyOfEnv: true }));\n  if (auth",
      "  const auth = await load(resolved, await findCredentials(resolved, { withApiKeyOfEnv: true })).catch(async (error: unknown) => {\n    await removeCredentials(resolved.codexHome);\n    throw error;\n  });\n  if (auth",
      `${LOGIN} > backend down`,
    ],
    [
      "credentials of the environment are held to the restrictions",
      'const token = env("CODEX_ACCESS_TOKEN") ?? env("CODEX_AGENT_IDENTITY");',
      "const token = undefined as string | undefined;",
      `${LOGIN} > credentials of the environment`,
    ],
    [
      "an API key of the environment is held to the restrictions",
      'resolveConfig("enforceLoginRestrictions", config);\n  const auth = await load(resolved, await findCredentials(resolved, { withApiKeyOfEnv: true }));',
      'resolveConfig("enforceLoginRestrictions", config);\n  const auth = await load(resolved, await findCredentials(resolved, { withApiKeyOfEnv: false }));',
      `${LOGIN} > and so is an API key of the environment`,
    ],
    [
      "CODEX_ACCESS_TOKEN comes before CODEX_AGENT_IDENTITY",
      'env("CODEX_ACCESS_TOKEN") ?? env("CODEX_AGENT_IDENTITY")',
      'env("CODEX_AGENT_IDENTITY") ?? env("CODEX_ACCESS_TOKEN")',
      ORDER,
    ],
    [
      "CODEX_API_KEY comes first",
      'if (apiKey !== undefined) return { mode: "apikey", apiKey };\n  const inMemory = readFromMemory(codexHome);\n  if (inMemory !== undefined) return inMemory;',
      'const inMemory = readFromMemory(codexHome);\n  if (inMemory !== undefined) return inMemory;\n  if (apiKey !== undefined) return { mode: "apikey", apiKey };',
      ORDER,
    ],
    [
      "the memory comes before tokens of the environment",
      'if (inMemory !== undefined) return inMemory;\n  const token = env("CODEX_ACCESS_TOKEN") ?? env("CODEX_AGENT_IDENTITY");\n  if (token !== undefined) return { mode: "agentIdentity", token };',
      'const token = env("CODEX_ACCESS_TOKEN") ?? env("CODEX_AGENT_IDENTITY");\n  if (token !== undefined) return { mode: "agentIdentity", token };\n  if (inMemory !== undefined) return inMemory;',
      ORDER,
    ],
    [
      "the ephemeral store does not read auth.json",
      'return storeMode === "file" ? readFromFile(codexHome) : undefined;',
      'return storeMode === "file" ? readFromFile(codexHome) : readFromFile(codexHome);',
      `${STORE} > does not read auth.json`,
    ],
    [
      "status does not look at CODEX_API_KEY",
      "{ withApiKeyOfEnv: false }",
      "{ withApiKeyOfEnv: true }",
      `${LOGIN} > status does not look`,
    ],
    [
      "status shows no API key",
      "Logged in using an API key - ***",
      '" + `Logged in using an API key - ${auth.apiKey}` + "',
      `${LOGIN} > speaks as Codex does`,
    ],
    [
      "an API key is not enumerable",
      "{ value: credentials.apiKey }",
      "{ value: credentials.apiKey, enumerable: true }",
      `${LOGIN} > an API key that was loaded`,
    ],
    [
      "a personal access token is refused as what it is",
      'if (token.startsWith("at-")) {',
      'if (token === "") {',
      `${LOGIN} > an access token that is a personal access token`,
    ],
    [
      "an empty secret is refused",
      'if (trimmed === "") throw',
      "if (trimmed === undefined) throw",
      `${LOGIN} > an empty API key`,
    ],
  ]),
  ...decisionsOf("login/auth-store.ts", STORE, [
    [
      "only its owner reads auth.json",
      ", { mode: 0o600 });",
      ", { mode: 0o644 });",
      `${STORE} > is Codex's for an API key`,
    ],
    ["only its owner enters the home", ", mode: 0o700 }", " }", `${STORE} > is made along with a home`],
    [
      "a file that is corrupt or foreign is not written over",
      "await readAuthFile(path);\n  const content =\n",
      "const content =\n",
      `${STORE} > that is corrupt or foreign`,
    ],
    [
      "another program's file is not written over",
      "if (members.length > 0 && !members.some((name) => KNOWN_MEMBERS.includes(name))) {",
      "if (members.length < 0) {",
      `${STORE} > that is corrupt or foreign`,
    ],
    [
      "a file is a JSON object",
      'if (typeof content !== "object" || content === null || Array.isArray(content)) {',
      "if (content === undefined) {",
      `${STORE} > that is corrupt or foreign`,
    ],
    [
      "members of a file are strings",
      'if (value !== undefined && value !== null && typeof value !== "string" && !isObject) {',
      "if (isObject && value === undefined) {",
      `${STORE} > that is corrupt or foreign`,
    ],
    [
      "what is wrong with a file is said without its text",
      '  } catch {\n    throw invalid(path, "it is not JSON");',
      "  } catch (error) {\n    throw invalid(path, String(error));",
      `${STORE} > that is corrupt or foreign`,
    ],
    [
      "a file that cannot be read is not taken for none",
      'return (error as NodeJS.ErrnoException).code === "ENOENT";',
      "return error instanceof Error;",
      `${STORE} > a home that cannot be used`,
    ],
    [
      "an agent's sign-in has a token",
      'if (typeof token !== "string") throw',
      "if (token === undefined) throw",
      `${STORE} > that lacks its credentials`,
    ],
    [
      "an API key's sign-in has a key",
      'if (typeof apiKey !== "string") throw',
      "if (apiKey === undefined) throw",
      `${STORE} > that lacks its credentials`,
    ],
    ["logging out removes the file", "await rm(path);", "await readFile(path);", `${STORE} > removes what is there`],
    [
      "a file is UTF-8",
      "content = parseUtf8Json(bytes);",
      "content = (void parseUtf8Json, JSON.parse(bytes.toString()));",
      `${STORE} > auth.json that is not UTF-8`,
    ],
    [
      "another kind of sign-in is none of ours",
      'auth_mode ?? (typeof apiKey === "string" ? "apikey" : "chatgpt")',
      'typeof apiKey === "string" ? "apikey" : (auth_mode ?? "agentIdentity")',
      `${STORE} > of another kind of sign-in`,
    ],
    [
      "logging out empties the memory",
      "const wasInMemory = inMemory.delete(codexHome);",
      "const wasInMemory = inMemory.has(codexHome);",
      `${STORE} > is the memory of this process`,
    ],
    [
      "the memory is kept by home",
      "return inMemory.get(codexHome);",
      "return [...inMemory.values()][0] ?? inMemory.get(codexHome);",
      `${STORE} > is the memory of this process`,
    ],
    [
      "the ephemeral store writes nothing",
      "inMemory.set(codexHome, credentials);\n    return;",
      "inMemory.set(codexHome, credentials);",
      `${STORE} > is the memory of this process`,
    ],
  ]),
  ...decisionsOf("login/auth-config.ts", `${LOGIN} > the configuration`, [
    [
      "authApiBaseUrl is held to the rules of the base URL",
      'parseServerUrl("authApiBaseUrl", authApiBaseUrl, false).href',
      "(void parseServerUrl, authApiBaseUrl)",
    ],
    [
      "tokens are verified against the configured base URL",
      "selectVerifier(where, chatgptBaseUrl, { jwks })",
      'selectVerifier(where, "https://chatgpt.com", { jwks: jwks ?? {} })',
      ORDER,
    ],
  ]),
  ...decisionsOf("login/task-registration.ts", TASKS, [
    [
      "an unknown base never falls back to production",
      "const known = AUTH_APIS.get(url.host);",
      'const known = AUTH_APIS.get(url.host) ?? AUTH_APIS.get("chatgpt.com");',
      `${TASKS} > is not known for`,
    ],
    [
      "production is found by the whole host, port included",
      "AUTH_APIS.get(url.host)",
      "AUTH_APIS.get(url.hostname)",
      `${TASKS} > is not known for`,
    ],
    [
      "only plain http on loopback is its own auth API",
      'url.protocol === "http:" && isLoopback(url)',
      "isLoopback(url)",
      `${TASKS} > is not known for`,
    ],
    [
      "a registration is not sent on to where it is redirected",
      'redirect: "manual",',
      'redirect: "follow",',
      `${TASKS} > does not try again on 302`,
    ],
    [
      "an agent's id keeps its place in the path",
      "${encodeURIComponent(agentRuntimeId)}",
      "${agentRuntimeId}",
      `${TASKS} > keeps an odd agent id`,
    ],
    [
      "a refusal is not asked again",
      "if (response.status !== 429 && response.status < 500) break;",
      "",
      `${TASKS} > does not try again on 400`,
    ],
    ["tries are bounded", "const TRIES = 3;", "const TRIES = 5;", `${TASKS} > tries again on 500`],
    [
      "an answer without a task is a failure",
      'if (typeof plain === "string" && plain !== "") return plain;',
      "if (plain !== undefined) return String(plain);",
      `${TASKS} > fails on an answer`,
    ],
    [
      "what a failed registration was is said in our words",
      'problem = error instanceof SyntaxError ? "the answer is not JSON" : "no answer";',
      "problem = String(error);",
      `${TASKS} > fails when nobody answers`,
    ],
    [
      "a task that was sealed is UTF-8",
      'new TextDecoder("utf-8", { fatal: true })',
      "new TextDecoder()",
      `${TASKS} > fails on an answer`,
    ],
    [
      "a task that is sealed for another key is a failure",
      'throw failed("the task id is not sealed for this agent\'s key");',
      'return "task-x";',
      `${TASKS} > fails on an answer`,
    ],
  ]),
  ...decisionsOf("login/agent-key.ts", `${TASKS} > finds a bad private key`, [
    [
      "a private key goes with the public key beside it",
      " || (publicKey !== undefined && publicKey !== publicKeyOf(key))",
      "|| publicKey === publicKeyOf.name",
    ],
    [
      "a private key is canonical base64",
      "decodeCanonicalBase64(base64) ?? decodeCanonicalBase64(`${base64}=`)",
      'decodeCanonicalBase64(base64) ?? Buffer.from(base64, "base64")',
    ],
    ["a private key is nothing but one", "([0-9a-f]{64})$/;\nconst PKCS8_V2", "([0-9a-f]{64})/;\nconst PKCS8_V2"],
    ["nothing comes before a private key", "/^302e020100300506032b6570", "/302e020100300506032b6570"],
    ["a private key is one of Ed25519", "/^302e020100300506032b6570", "/^302e020100300506032b65.."],
    ["nothing comes after a private key with its public key", "812100([0-9a-f]{64})$/", "812100([0-9a-f]{64})/"],
    ["nothing comes before a private key with its public key", "/^3051020101300506", "/3051020101300506"],
  ]),
  ...decisionsOf("login/agent-identity-auth.ts", TASKS, [
    [
      "no headers without a task",
      'if (taskId === undefined) throw new LoginError("task_not_registered", "call registerTask() first");',
      "",
      `${TASKS} > are Codex's, signed anew`,
    ],
    [
      "tasks of other tokens are not used",
      '${hash("sha256", this.#token)}',
      '${hash("sha256", "")}',
      `${TASKS} > is for one token and one place`,
    ],
    [
      "tasks of other places are not used",
      "`${this.#locateAuthApi()} ${",
      "`${",
      `${TASKS} > is for one token and one place`,
    ],
    [
      "neither token nor key is in a property",
      "    this.#token = token;",
      "    this.#token = token;\n    Object.assign(this, { token });",
      `${TASKS} > neither token nor private key`,
    ],
  ]),
  ...decisionsOf("login/sealed-box.ts", "login/sealed-box.test.ts", [
    [
      "the key of a sealed box is that of its sender and its addressee",
      "hsalsa20(x25519.getSharedSecret(secretKey, ephemeralKey))",
      "hsalsa20(x25519.getPublicKey(ephemeralKey))",
    ],
  ]),
  {
    name: "a sealed box that was tampered with is not opened",
    edits: [
      {
        file: "login/sealed-box.ts",
        find: "import { hsalsa, xsalsa20poly1305 }",
        replace: "import { hsalsa, xsalsa20 }",
      },
      {
        file: "login/sealed-box.ts",
        find: "xsalsa20poly1305(key, nonce).decrypt(sealed.subarray(KEY_LENGTH))",
        // The 32 bytes of key stream that the tag's key is made of come first.
        replace:
          "xsalsa20(key, nonce, Uint8Array.of(...new Uint8Array(32), ...sealed.subarray(KEY_LENGTH + 16))).subarray(32)",
      },
    ],
    noticedBy: "login/sealed-box.test.ts > opens nothing",
  },
  {
    name: "auth.json is replaced as a whole",
    edits: [
      {
        file: "login/auth-store.ts",
        find: 'import writeFileAtomic from "write-file-atomic";',
        replace: 'import { writeFile as writeFileAtomic } from "node:fs/promises";',
      },
    ],
    noticedBy: `${STORE} > that others could read`,
  },
  {
    name: "the base URL has no default",
    edits: [
      {
        file: "login/auth-config.ts",
        find: "const { chatgptBaseUrl, forcedLoginMethod",
        replace: 'const { chatgptBaseUrl = "https://chatgpt.com", forcedLoginMethod',
      },
    ],
    noticedBy: `${LOGIN} > the configuration`,
  },
];
