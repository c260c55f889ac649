/** One contestant's server, a key endpoint that can be made to fail, and agents that call. */

import { once } from "node:events";
import { request } from "node:http";
import { createServer } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { createClaims, createSigningKey, signToken, signTokens, trustIn } from "../backend.js";

/** ms. Agents have given up long before. */
export const PATIENCE = 40_000;

/** ms. The age of a key set in faults that need one that is too old. */
export const SHORT_AGE = 1_000;

export const answerWith = (body, status) => (_req, res) => {
  res.writeHead(status ?? 200, { "Content-Type": "application/json" }).end(body);
};
export const serveKeys = (...keys) => answerWith(JSON.stringify({ keys }));

export async function createTokens() {
  const [key, nextKey, stranger] = await Promise.all(["key", "next", "stranger"].map(createSigningKey));
  const valid = await signTokens(key, 1_000);
  const kids = Array.from({ length: 100 }, (_, i) => `random-${i}`);
  // Of the last character of 256 bytes, four bits mean nothing.
  const respelled = valid[0].slice(0, -1) + String.fromCharCode(valid[0].charCodeAt(valid[0].length - 1) + 1);
  return {
    key,
    nextKey,
    valid,
    validOfNextKey: await signToken(nextKey),
    ofRandomKids: await Promise.all(kids.map((kid) => signToken({ ...stranger, kid }))),
    withoutExpiry: await signToken(key, { ...createClaims(), exp: undefined }),
    respelled,
  };
}

/** @param options what a contestant is given beyond its README: `keyOptions`, `tokenOptions` */
export async function measureFault({ name, server, certificate, tokens, options }, fault) {
  const endpoint = { fetches: 0, answer: serveKeys(tokens.key.jwk) };
  const listening = createServer(certificate, (req, res) => {
    endpoint.fetches++;
    endpoint.answer(req, res);
  });
  await once(listening.listen(0, "127.0.0.1"), "listening");
  endpoint.trust = trustIn(`https://127.0.0.1:${listening.address().port}`);
  endpoint.stop = () =>
    new Promise((resolve) => {
      listening.close(resolve);
      listening.closeAllConnections();
    });
  try {
    const trust = { ...endpoint.trust, ...options };
    const url = await server.ask({ listen: { framework: "express", name, trust, countRequests: true } });
    const stage = { endpoint, tokens, ask: (...given) => ask(url, given), read: (what) => server.ask({ read: what }) };
    if (fault.known || fault.tooOld) {
      const outcome = await stage.ask(tokens.valid[0]);
      if (outcome !== 200) throw new Error(`a valid agent got ${outcome} before anything went wrong`);
    }
    if (fault.endpoint) endpoint.answer = fault.endpoint(stage);
    if (fault.tooOld) await sleep(SHORT_AGE * 1.5);
    return await fault.measure(stage);
  } finally {
    await endpoint.stop();
  }
}

/** @returns the status, or what came instead of an answer. Each token has an `Authorization` header of its own. */
function ask(url, tokens) {
  return new Promise((resolve) => {
    const headers = ["Host", new URL(url).host, ...tokens.flatMap((token) => ["Authorization", `Bearer ${token}`])];
    const asked = request(url, { agent: false, headers }, (res) => {
      res.resume().on("end", () => settle(res.statusCode));
    });
    const settle = (outcome) => {
      clearTimeout(timer);
      resolve(outcome);
      asked.destroy();
    };
    const timer = setTimeout(() => settle("no answer"), PATIENCE);
    asked.on("error", () => settle("connection lost")).end();
  });
}
