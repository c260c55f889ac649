/** What goes wrong, and what every contestant is asked then. */

import { setTimeout as sleep } from "node:timers/promises";
import { answerWith, PATIENCE, serveKeys } from "./stage.js";

const noCooldown = { keyOptions: { cooldownDuration: 0 } };
const noCooldowns = { jose: noCooldown, "express-oauth2-jwt-bearer": noCooldown };
const noRateLimit = { "express-jwt": { keyOptions: { rateLimit: false } } };

const down = () => answerWith("", 500);
const oneKey = ({ tokens }) => serveKeys(tokens.key.jwk);
const nextKeyOnly = ({ tokens }) => serveKeys(tokens.nextKey.jwk);
const bothKeys = ({ tokens }) => serveKeys(tokens.key.jwk, tokens.nextKey.jwk);

const first = async ({ ask, tokens }) => `${await ask(tokens.valid[0])}`;
const firstOfNextKey = async ({ ask, tokens }) => `${await ask(tokens.validOfNextKey)}`;
const twentyOne = ({ ask, tokens }) => inTurn(ask, tokens.valid.slice(1, 22));
const flood = ({ ask, tokens }, from = 0, to = 100) => inTurn(ask, tokens.ofRandomKids.slice(from, to));

async function inTurn(ask, tokens) {
  const outcomes = [];
  for (const token of tokens) outcomes.push(await ask(token));
  return outcomes;
}

/** @param act returns an outcome, or a list of outcomes */
const withFetches = (act) => async (stage) => {
  stage.endpoint.fetches = 0;
  const counts = new Map();
  const outcomes = await act(stage);
  for (const outcome of [outcomes].flat()) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const cells = [...counts].map(([outcome, count]) => (Array.isArray(outcomes) ? `${count} × ${outcome}` : outcome));
  return `${cells.join(", ")}; ${stage.endpoint.fetches} ${stage.endpoint.fetches === 1 ? "fetch" : "fetches"}`;
};

/**
 * - `known`: a valid agent has called before, so that the set is fetched
 * - `tooOld`: the same, and the set is too old when `measure` is called
 * - `endpoint`: what the key endpoint answers from then on
 * - `measure`: returns the cell of the table
 * - `waits`: spends its time waiting, so that all contestants can be measured at once
 * - `freshProcess`: needs a process that has done nothing yet
 * - `otherwise`: options that are not those of the contestant's README, measured too, for the footnotes
 */
export const faults = [
  {
    title: "Key endpoint fails; the keys are known, but too old",
    about:
      "The set is fetched, grows too old, and the endpoint answers 500. Then 21 agents call, one after the other. An outage must not sign agents out.",
    tooOld: true,
    endpoint: down,
    waits: true,
    otherwise: { "express-jwt": { keyOptions: { cacheMaxAgeFallback: 3_600_000 } } },
    measure: withFetches(twentyOne),
  },
  {
    title: "Key endpoint fails from the start",
    about:
      "It answers 500 and no key is known: 21 agents call, one after the other. Nobody can be let in, but 503 says that it is not the agents' fault. A fetch for each request does not help an endpoint in trouble.",
    endpoint: down,
    measure: withFetches(twentyOne),
  },
  {
    title: "Key endpoint hangs",
    about: `It takes the request and never answers: what does the agent get, and when? After ${PATIENCE / 1000} s it gives up.`,
    endpoint: () => () => undefined,
    waits: true,
    otherwise: { "express-jwt": { keyOptions: { timeout: 5_000 } } },
    async measure(stage) {
      const began = performance.now();
      const outcome = await first(stage);
      const seconds = Math.round((performance.now() - began) / 1000);
      return outcome === "no answer" ? `none in ${seconds} s` : `${outcome} after ${seconds} s`;
    },
  },
  {
    title: "Key withdrawn: a token that it signed; the same after one of the new key",
    about:
      "The set is fetched, the backend withdraws its key and serves only a new one, and the fetched set grows too old. Then an agent calls with a token of the old key, one with a token of the new key, and the first again: is it still let in? (get-jwks falls back on the key that it had, also when the answer lacks that key.)",
    tooOld: true,
    endpoint: nextKeyOnly,
    waits: true,
    async measure(stage) {
      const before = await first(stage);
      await firstOfNextKey(stage);
      return `${before}, ${await first(stage)}`;
    },
  },
  {
    title: "New key: its first token",
    about:
      "Right after the set was fetched, the backend adds a key and signs with it. A server whose cooldown begins with every fetch lets such a token in only after the cooldown.",
    known: true,
    endpoint: bothKeys,
    otherwise: noCooldowns,
    measure: firstOfNextKey,
  },
  {
    title: "Flood of 100 unknown key ids, beside an agent whose key is known",
    about:
      "100 tokens, each naming a key that does not exist: anybody can make them. A valid agent calls after every tenth.",
    known: true,
    otherwise: { ...noCooldowns, ...noRateLimit },
    measure: withFetches(async (stage) => {
      const outcomes = [];
      for (let i = 0; i < 100; i += 10) {
        await flood(stage, i, i + 10);
        outcomes.push(await first(stage));
      }
      return outcomes;
    }),
  },
  {
    title: "… beside an agent with a new key",
    about:
      "The set is fetched, the flood comes, the backend adds a key: the first token of that key. A server that lets it in at once fetches for everybody who invents a key id; a server that does not refuses it until a cooldown is over.",
    known: true,
    otherwise: noRateLimit,
    measure: withFetches(async (stage) => {
      await flood(stage);
      stage.endpoint.answer = bothKeys(stage);
      return firstOfNextKey(stage);
    }),
  },
  {
    title: "1000 cold requests at once",
    about: "Each of another agent; the endpoint answers when all of them have come in, or after a second.",
    measure: withFetches((stage) => {
      const allIn = (async () => {
        for (let waited = 0; waited < 1_000 && (await stage.read("received")) < 1_000; waited += 20) await sleep(20);
      })();
      const serve = oneKey(stage);
      stage.endpoint.answer = (req, res) => void allIn.then(() => serve(req, res));
      return Promise.all(stage.tokens.valid.map((token) => stage.ask(token)));
    }),
  },
  {
    title: "Key set of 40 MiB",
    about:
      "The good key and 40 MiB of padding: the answer to a valid agent, and by how much the memory of the process grew at most (rounded up to 10 MiB; it includes what any first fetch takes). Real sets have a few KiB.",
    endpoint: ({ tokens }) => answerWith(JSON.stringify({ keys: [tokens.key.jwk], padding: "x".repeat(40 * 2 ** 20) })),
    freshProcess: true,
    async measure(stage) {
      const before = await stage.read("peakMemory");
      const outcome = await first(stage);
      const growth = ((await stage.read("peakMemory")) - before) / 2 ** 20;
      return `${outcome}, ${Math.ceil(growth / 10) * 10} MiB`;
    },
  },
  {
    title: "`null` beside the good key in the set",
    about: "One broken entry must not take the good ones with it.",
    endpoint: ({ tokens }) => serveKeys(null, tokens.key.jwk),
    measure: first,
  },
  {
    title: "Key endpoint redirects",
    about:
      "With 302, to where the good set is. If a server follows, an open redirect on the backend's host decides whose keys are trusted.",
    async measure(stage) {
      let followed = false;
      const serve = oneKey(stage);
      stage.endpoint.answer = (req, res) => {
        followed ||= req.url === "/elsewhere";
        if (req.url === "/elsewhere") serve(req, res);
        else res.writeHead(302, { Location: `${stage.endpoint.trust.origin}/elsewhere` }).end();
      };
      return `${await first(stage)}, ${followed ? "followed" : "not followed"}`;
    },
  },
  {
    title: "Token without `exp`",
    about: "It would be good for ever. The good key signed it, and the tokens below.",
    otherwise: {
      jose: { tokenOptions: { requiredClaims: [] } },
      "fast-jwt": { tokenOptions: { requiredClaims: ["exp"] } },
    },
    measure: async ({ ask, tokens }) => `${await ask(tokens.withoutExpiry)}`,
  },
  {
    title: "Two `Authorization` headers",
    about: "With the valid tokens of two agents. Two servers that a request passes can each take another agent's.",
    measure: async ({ ask, tokens }) => `${await ask(...tokens.valid.slice(0, 2))}`,
  },
  {
    title: "Signature spelled otherwise",
    about:
      "A valid token whose last character was changed in bits that mean nothing: another string for the same token, which a list of revoked tokens or a cache does not know.",
    measure: async ({ ask, tokens }) => `${await ask(tokens.respelled)}`,
  },
];
