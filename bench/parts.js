/** `npm run bench:parts -- [--node 24,26]`: what one call costs in the process, and what each of its parts costs. Writes PARTS.md. */

import { createPublicKey, hash, verify } from "node:crypto";
import { writeFileSync } from "node:fs";
import os from "node:os";
import { parseArgs, promisify } from "node:util";
import { compactVerify, createRemoteJWKSet, importJWK, jwtVerify } from "jose";
import { createLRU } from "lru.min";
import { format } from "prettier";
import { agentIdentityAuth } from "../dist/index.js";
import { readCredentials } from "../dist/verify/http/credentials.js";
import { hideToken } from "../dist/verify/http/hidden-token.js";
import { createBadTokens, createSigningAgents, signTokens, startBackend } from "./backend.js";
import { directoryOf, nobody, readAndHideToken, readToken, refuseByHand } from "./contestants/by-hand.js";
import { answerParent, cpuTime, nodeOf, startChild } from "./processes.js";
import { table } from "./report.js";
import { createRequest } from "./request.js";
import { median } from "./statistics.js";

const CALLS = 20_000;
const TOKENS = 2_000;
const SAMPLES = 9;

if (process.send) answerParent(measure);
else {
  const { values: given } = parseArgs({ options: { node: { type: "string", default: "24,26" } } });
  const nodes = given.node.split(",");
  const load = os.loadavg()[0].toFixed(1);
  const results = [];
  for (const node of nodes) {
    const child = startChild("parts.js", {
      node: nodeOf(node),
      execArgv: ["--expose-gc", "--disable-warning=AgentIdentityWarning"],
    });
    results.push(await child.ask({}));
    await child.stop();
  }
  const [{ rows }] = results;
  const cells = rows.map(([name], i) => [name, ...results.map(({ rows }) => rows[i][1].toFixed(2))]);
  const markdown = `
# What one call costs

Written by \`npm run bench:parts\` on ${new Date().toISOString().slice(0, 10)}, on ${os.cpus()[0].model}, ${os.cpus().length} cores. The load average was ${load} when it began.

CPU time in the process, without HTTP and without a framework: the median of ${SAMPLES} samples. Every request and its header are new objects, as
they are in a server. "By hand" is the least that a handler does: it decodes, and verifies nothing.

${table(["CPU µs of one call", ...results.map(({ version }) => `Node ${version.slice(1)}`)], cells)}
`;
  writeFileSync(new URL("PARTS.md", import.meta.url), await format(markdown, { parser: "markdown", printWidth: 120 }));
}

async function measure() {
  const backend = await startBackend();
  const { baseUrl, jwksUrl, issuer, audience } = backend.trust;
  const bearer = (token) => `Bearer ${token}`;
  const hot = (await signTokens(backend.key, 100)).map(bearer);
  const signers = createSigningAgents(100);
  const signed = signers.signAssertions().map((text) => `AgentAssertion ${text}`);
  const bad = await createBadTokens(backend.key);
  const [header, , signature] = hot[0].slice("Bearer ".length).split(".");
  const depth = 5_000;
  const nested = Buffer.from(`{"exp":1,"x":${"[".repeat(depth)}${"]".repeat(depth)}}`).toString("base64url");

  const agents = agentIdentityAuth(baseUrl);
  const withDirectory = agentIdentityAuth(baseUrl, { directory: directoryOf({ agents: await signers.publicKeys() }) });
  const refused = {
    "no credentials": undefined,
    malformed: bearer(bad.malformed),
    expired: bearer(bad.expired),
    "unknown key": bearer(bad.unknownKid),
    "a payload of 5 000 nested arrays": `Bearer ${header}.${nested}.${signature}`,
  };
  for (const text of [...hot, ...Object.values(refused)]) await call(agents, text);
  for (const text of signed) await call(withDirectory, text);

  const known = createLRU({ max: 10_000 });
  for (const text of hot) known.set(readToken(text), text);
  const digests = hot.map(readToken);
  const now = (request) => void agents(request, {}, throwError);
  const rows = [
    [
      "**the floor**: header, SHA-256, hiding, property",
      sample(hot, (request) => {
        readAndHideToken(request);
        request.agent = nobody;
      }),
    ],
    ["**a remembered token**", sample(hot, now)],
    ["— its SHA-256", sample(hot, ({ headers }) => void hash("sha256", headers.authorization))],
    [
      "— reading the header, and looking for a second one",
      sample(hot, (request) => void readCredentials(request, ["Bearer"])),
    ],
    [
      "— the look-up in the cache, by a new text",
      sample(digests, ({ headers }) => void known.get(headers.authorization)),
    ],
    [
      "— three clocks: expiry, and both ages of the key set",
      sample(hot, () => void (Date.now() + Date.now() + performance.now())),
    ],
    ["— hiding the token, for later mounts to find", sample(hot, (request) => hideToken(request, digests[0]))],
    ["**the floor without hiding**", sample(signed, ({ headers }) => void readToken(headers.authorization))],
    [
      "**a repeated AgentAssertion**, directory in memory",
      sample(signed, (request) => void withDirectory(request, {}, throwError)),
    ],
    ...Object.entries(refused).flatMap(([fault, text]) => [
      [`**refused**: ${fault}`, sample([text], (request) => void agents(request, {}, expectError))],
      ["— by hand", sample([text], ({ headers }) => void refuseByHand(headers.authorization))],
    ]),
    ...(await measureFirstSeen()),
  ];
  backend.stop();
  return { version: process.version, rows };

  async function measureFirstSeen() {
    const texts = (await signTokens(backend.key, TOKENS)).map(bearer);
    const key = await importJWK(backend.key.jwk, "RS256");
    const keys = createRemoteJWKSet(new URL(jwksUrl));
    const options = { algorithms: ["RS256"], issuer, audience, requiredClaims: ["exp"] };
    const tokenOf = ({ headers }) => headers.authorization.slice("Bearer ".length);
    const verifyByNode = promisify(verify);
    const publicKey = createPublicKey({ key: backend.key.jwk, format: "jwk" });
    const contestants = {
      "**a first-seen token**": () => {
        const fresh = agentIdentityAuth(baseUrl, { tokenCache: { max: TOKENS }, jwks: {} });
        return (request) =>
          new Promise((resolve, reject) => fresh(request, {}, (error) => (error ? reject(error) : resolve())));
      },
      "— jose's `compactVerify` alone": () => (request) => compactVerify(tokenOf(request), key),
      "— in its place, `crypto.verify` alone": () => (request) => {
        const [head, payload, sealed] = tokenOf(request).split(".");
        return verifyByNode("sha256", Buffer.from(`${head}.${payload}`), publicKey, Buffer.from(sealed, "base64url"));
      },
      "jose by hand: `jwtVerify` with a remote key set": () => (request) => jwtVerify(tokenOf(request), keys, options),
    };
    const measured = Object.keys(contestants).map((name) => [name, []]);
    for (let i = 0; i < SAMPLES; i++) {
      for (const [name, samples] of measured) samples.push(await sampleLater(texts, contestants[name]()));
    }
    return measured.map(([name, samples]) => [name, median(samples)]);
  }
}

const call = (middleware, text) => new Promise((resolve) => middleware(createRequest(text), {}, resolve));

function throwError(error) {
  if (error) throw error;
}

function expectError(error) {
  if (!error) throw new Error("a bad token was accepted");
}

/** @returns CPU µs of one call */
function sample(texts, act) {
  const length = texts[0]?.length > 10_000 ? CALLS / 10 : CALLS;
  const samples = Array.from({ length: SAMPLES }, () => {
    const requests = Array.from({ length }, (_, i) => createRequest(texts[i % texts.length]));
    globalThis.gc();
    const startedAt = cpuTime();
    for (const request of requests) act(request);
    return (cpuTime() - startedAt) / length;
  });
  return median(samples);
}

/** 40 at a time, as connections of a server. */
async function sampleLater(texts, act) {
  const requests = texts.map(createRequest);
  await act(createRequest(texts[0]));
  globalThis.gc();
  const startedAt = cpuTime();
  for (let i = 0; i < requests.length; i += 40) await Promise.all(requests.slice(i, i + 40).map(act));
  return (cpuTime() - startedAt) / requests.length;
}
