/** What goes wrong, and what is then asked of every contestant alike. */

import { setTimeout as sleep } from "node:timers/promises";
import type { AgentTokens } from "./agent-tokens.js";
import { answerWith, serveKeys } from "./endpoint.js";
import type { PeerName } from "./peers.js";
import { PATIENCE, type ContestantOptions, type Outcome, type Stage } from "./stage.js";

export interface Fault {
  readonly title: string;
  /** For whoever wants to know what exactly was done, and what to wish for. */
  readonly about: string;
  /** The cell of the table. */
  readonly measure: (stage: Stage, tokens: AgentTokens) => Promise<string>;
  /** Wants a key set that is too old before anybody has lost patience: see {@link SHORT_AGE}. */
  readonly shortAge?: true;
  /** Spends its time waiting: all contestants can do that at once. */
  readonly waits?: true;
  /** In a process that has done nothing else yet. */
  readonly freshProcess?: true;
  /** What a contestant does with options that are not its README's: measured, too, for the notes. */
  readonly otherwise?: Readonly<Partial<Record<PeerName, ContestantOptions>>>;
}

/** Of a key set, in ms, where a fault needs one that is too old. Set with the contestant's own option. */
export const SHORT_AGE = 1_000;
const PAST_SHORT_AGE = 1_500;

export const RANDOM_KIDS = 100;
const MANY = 1_000;
export const TOKENS = MANY;

const down = answerWith("", 500);

export const faults: readonly Fault[] = [
  {
    title: "Key endpoint fails; the keys are known, but too old",
    about:
      "The set is fetched, grows too old, and the endpoint answers 500. Then 21 agents call, one after the other. An outage must not sign agents out.",
    shortAge: true,
    waits: true,
    otherwise: { "express-jwt": { keyOptions: { cacheMaxAgeFallback: 3_600_000 } } },
    async measure(stage, tokens) {
      await warmUp(stage, tokens);
      await sleep(PAST_SHORT_AGE);
      stage.endpoint.answer = down;
      return countAnswers(stage, () => askInTurn(stage, tokens.valid.slice(1, 22)));
    },
  },
  {
    title: "Key endpoint fails from the start",
    about:
      "It answers 500 and no key is known: 21 agents call, one after the other. Nobody can be let in, but 503 says that it is not their fault, and an endpoint in trouble is not helped by a fetch for each request.",
    measure: (stage, tokens) => {
      stage.endpoint.answer = down;
      return countAnswers(stage, () => askInTurn(stage, tokens.valid.slice(1, 22)));
    },
  },
  {
    title: "… and recovers: the next request, one 5 s later",
    about:
      "After those 21 the endpoint serves the good set again. Whoever fetches for every request notices at once; whoever waits before the next attempt notices later.",
    waits: true,
    otherwise: { "express-jwt": { keyOptions: { rateLimit: false } } },
    async measure(stage, tokens) {
      stage.endpoint.answer = down;
      await askInTurn(stage, tokens.valid.slice(1, 22));
      stage.endpoint.answer = serveKeys(tokens.key.jwk);
      const next = await askFirst(stage, tokens);
      await sleep(5_000);
      return `${next}, ${await askFirst(stage, tokens)}`;
    },
  },
  {
    title: "Key endpoint refuses connections",
    about: "Nothing listens at its port any more, and no key is known: 21 agents call, one after the other.",
    async measure(stage, tokens) {
      await stage.endpoint.stop();
      return tally(await askInTurn(stage, tokens.valid.slice(1, 22)));
    },
  },
  {
    title: "Key endpoint hangs",
    about: `It takes the request and never answers: what does the agent get, and when? After ${PATIENCE / 1000} s it gives up.`,
    waits: true,
    otherwise: { "express-jwt": { keyOptions: { timeout: 5_000 } } },
    async measure(stage, tokens) {
      stage.endpoint.answer = () => undefined;
      const began = performance.now();
      const outcome = await askFirst(stage, tokens);
      const seconds = Math.round((performance.now() - began) / 1000);
      return outcome === "no answer" ? `none in ${seconds} s` : `${outcome} after ${seconds} s`;
    },
  },
  {
    title: "Key withdrawn: a token that it signed; the same after one of the new key",
    about:
      "The set is fetched, the backend withdraws its key and serves a new one only, and the fetched set grows too old. Then an agent calls with a token of the old key, one with a token of the new key, and the first again: is it still let in? (get-jwks falls back on the key that it had not only when there is no answer, but also when the answer lacks that key.)",
    shortAge: true,
    waits: true,
    async measure(stage, tokens) {
      await warmUp(stage, tokens);
      stage.endpoint.answer = serveKeys(tokens.nextKey.jwk);
      await sleep(PAST_SHORT_AGE);
      const before = await askFirst(stage, tokens);
      await stage.ask(tokens.validOfNextKey);
      return `${before}, ${await askFirst(stage, tokens)}`;
    },
  },
  {
    title: "New key: its first token",
    about:
      "Right after the set was fetched, the backend adds a key and signs with it. Whoever has a cooldown that begins with every fetch lets such a token in only when that is over.",
    otherwise: {
      jose: { keyOptions: { cooldownDuration: 0 } },
      "express-oauth2-jwt-bearer": { keyOptions: { cooldownDuration: 0 } },
    },
    async measure(stage, tokens) {
      await warmUp(stage, tokens);
      stage.endpoint.answer = serveKeys(tokens.key.jwk, tokens.nextKey.jwk);
      return `${await stage.ask(tokens.validOfNextKey)}`;
    },
  },
  {
    title: `Flood of ${RANDOM_KIDS} unknown key ids, beside an agent whose key is known`,
    about: `${RANDOM_KIDS} tokens, each naming a key that does not exist: anybody can make them. After every tenth a valid agent calls.`,
    otherwise: {
      jose: { keyOptions: { cooldownDuration: 0 } },
      "express-oauth2-jwt-bearer": { keyOptions: { cooldownDuration: 0 } },
      "express-jwt": { keyOptions: { rateLimit: false } },
    },
    async measure(stage, tokens) {
      await warmUp(stage, tokens);
      return countAnswers(stage, async () => {
        const outcomes: Outcome[] = [];
        for (let i = 0; i < RANDOM_KIDS; i += 10) {
          await askInTurn(stage, tokens.ofRandomKids.slice(i, i + 10));
          outcomes.push(await askFirst(stage, tokens));
        }
        return outcomes;
      });
    },
  },
  {
    title: "… beside an agent whose key is not known yet",
    about: "The same flood meets a server that has just started; then a valid agent calls.",
    otherwise: { "express-jwt": { keyOptions: { rateLimit: false } } },
    measure: (stage, tokens) =>
      countAnswers(stage, async () => {
        await askInTurn(stage, tokens.ofRandomKids);
        return [await askFirst(stage, tokens)];
      }),
  },
  {
    title: "… beside an agent with a new key",
    about:
      "The set is fetched, the flood comes, the backend adds a key: the first token of that key. Whoever lets it in at once fetches for everybody who invents a key id; whoever does not refuses it until a cooldown is over.",
    otherwise: { "express-jwt": { keyOptions: { rateLimit: false } } },
    async measure(stage, tokens) {
      await warmUp(stage, tokens);
      return countAnswers(stage, async () => {
        await askInTurn(stage, tokens.ofRandomKids);
        stage.endpoint.answer = serveKeys(tokens.key.jwk, tokens.nextKey.jwk);
        return [await stage.ask(tokens.validOfNextKey)];
      });
    },
  },
  {
    title: `${MANY} cold requests at once`,
    about: `Each of another agent; the endpoint answers when all of them have come in, or after a second.`,
    measure: (stage, tokens) =>
      countAnswers(stage, async () => {
        const allIn = waitFor(async () => (await stage.received()) === MANY);
        const serve = serveKeys(tokens.key.jwk);
        stage.endpoint.answer = (req, res) =>
          void allIn.then(() => {
            serve(req, res);
          });
        return Promise.all(tokens.valid.map((token) => stage.ask(token)));
      }),
  },
  {
    title: "Key set of 40 MiB",
    about:
      "The good key and 40 MiB of padding: the answer to a valid agent, and by how much the memory of the process grew at most (rounded up to 10 MiB; what any first fetch takes is in it). Real sets have a few KiB.",
    freshProcess: true,
    async measure(stage, tokens) {
      const padding = "x".repeat(40 * 2 ** 20);
      stage.endpoint.answer = answerWith(Buffer.from(JSON.stringify({ keys: [tokens.key.jwk], padding })));
      const before = await stage.peakMemory();
      const outcome = await askFirst(stage, tokens);
      const growth = ((await stage.peakMemory()) - before) / 2 ** 20;
      return `${outcome}, ${Math.ceil(growth / 10) * 10} MiB`;
    },
  },
  {
    title: "`null` beside the good key in the set",
    about: "One broken entry must not take the good ones with it.",
    async measure(stage, tokens) {
      stage.endpoint.answer = serveKeys(null, tokens.key.jwk);
      return `${await askFirst(stage, tokens)}`;
    },
  },
  {
    title: "Key endpoint redirects",
    about:
      "With 302, to where the good set is. Whoever follows lets an open redirect on the backend's host choose whose keys are trusted.",
    async measure(stage, tokens) {
      const { trust } = stage.endpoint;
      const asked: (string | undefined)[] = [];
      const serve = serveKeys(tokens.key.jwk);
      stage.endpoint.answer = (req, res) => {
        asked.push(req.url);
        if (req.url === "/elsewhere") serve(req, res);
        else res.writeHead(302, { Location: `${trust.origin}/elsewhere` }).end();
      };
      const outcome = await askFirst(stage, tokens);
      return `${outcome}, ${asked.includes("/elsewhere") ? "followed" : "not followed"}`;
    },
  },
  {
    title: "Token without `exp`",
    about: "It would be good for ever. Signed with the good key, as are those below.",
    otherwise: {
      jose: { tokenOptions: { requiredClaims: [] } },
      "fast-jwt": { tokenOptions: { requiredClaims: ["exp"] } },
    },
    measure: async (stage, { withoutExpiry }) => `${await stage.ask(withoutExpiry)}`,
  },
  {
    title: "Two `Authorization` headers",
    about: "With the valid tokens of two agents. Two servers that a request passes can take it for either one's.",
    measure: async (stage, { valid: [first = "", second = ""] }) => `${await stage.ask(first, second)}`,
  },
  {
    title: "Signature spelled otherwise",
    about:
      "A valid token whose last character was changed in bits that mean nothing: another string for the same token, which a list of revoked tokens or a cache does not know.",
    measure: async (stage, { respelled }) => `${await stage.ask(respelled)}`,
  },
  {
    title: "`aud` is a list with the audience in it",
    about:
      "RFC 7519 allows it, so 200 is right in general. The backend signs no such token and Codex itself refuses it; so does this package.",
    measure: async (stage, { forTwoAudiences }) => `${await stage.ask(forTwoAudiences)}`,
  },
];

/** For a second at most. */
async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 1_000 && !(await condition()); waited += 20) await sleep(20);
}

async function warmUp(stage: Stage, tokens: AgentTokens): Promise<void> {
  const outcome = await askFirst(stage, tokens);
  if (outcome !== 200) throw new Error(`a valid agent got ${outcome} before anything went wrong`);
}

function askFirst(stage: Stage, { valid: [first = ""] }: AgentTokens): Promise<Outcome> {
  return stage.ask(first);
}

async function askInTurn(stage: Stage, tokens: readonly string[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const token of tokens) outcomes.push(await stage.ask(token));
  return outcomes;
}

async function countAnswers({ endpoint }: Stage, ask: () => Promise<Outcome[]>): Promise<string> {
  endpoint.takeFetchCount();
  const outcomes = await ask();
  const fetches = endpoint.takeFetchCount();
  return `${tally(outcomes)}; ${fetches === 1 ? "1 fetch" : `${fetches} fetches`}`;
}

function tally(outcomes: readonly Outcome[]): string {
  const counts = new Map<Outcome, number>();
  for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts]
    .map(([outcome, count]) => (outcomes.length === 1 ? `${outcome}` : `${count} × ${outcome}`))
    .join(", ");
}
