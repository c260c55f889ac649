/** The key endpoints of all deployments, which fail as planned, and a store of the issuer's that does too. */

import type { RequestListener, ServerResponse } from "node:http";
import type { IssuerStore } from "../../src/issuer.js";
import type { SigningKey } from "../support/agents.js";
import { isWithin, type Plan, type Random, type Span } from "./schedule.js";

export type Clock = () => number;

/** @param refusedSet a key set that would be good, if the answer were */
export type Fault = (res: ServerResponse, refusedSet: string) => void;
export const RETRY_AFTER = 2; // seconds

export const FAULTS: Record<string, Fault> = {
  "status 500": (res, refusedSet) => void res.writeHead(500).end(refusedSet),
  "status 429": (res, refusedSet) => void res.writeHead(429, { "Retry-After": RETRY_AFTER }).end(refusedSet),
  garbage: (res) => void res.end("<html>Bad gateway</html>"),
  oversized: (res, refusedSet) => void res.end(refusedSet.padEnd(256 * 1024 + 1)),
  "no usable key": (res) => void res.end('{"keys":[]}'),
  "cut off": (res, refusedSet) => {
    res.writeHead(200, { "Content-Length": 9_999 }).write(refusedSet, () => res.destroy());
  },
  hanging: () => undefined,
  dripping: (res, refusedSet) => {
    const drip = (at: number) => {
      if (!res.destroyed && at < refusedSet.length)
        res.write(refusedSet.charAt(at), () => setTimeout(drip, 20, at + 1));
    };
    drip(0);
  },
};

/** What an endpoint answered: the kids that it published, or nothing. */
export interface Served {
  readonly deployment: number;
  readonly arrivedAt: number;
  readonly kids: string[] | undefined;
}

export interface Deployment extends Plan {
  readonly signers: readonly SigningKey[];
}

/** @param onServed is told of each answer; @param onFault of each way to fail */
export function createBackend(
  deployments: readonly Deployment[],
  refusedKey: SigningKey,
  clock: Clock,
  random: Random,
  onServed: (served: Served) => void,
  onFault: (name: string) => void,
): RequestListener {
  const refusedSet = JSON.stringify({ keys: [refusedKey.jwk] });
  let deck: string[] = [];
  return (req, res) => {
    const index = Number(/^\/d(\d)\/backend-api\/wham\/agent-identities\/jwks$/.exec(req.url ?? "")?.[1] ?? NaN);
    const deployment = deployments[index];
    if (deployment === undefined) return void res.writeHead(404).end();
    const arrivedAt = clock();
    if (isWithin(deployment.faults, arrivedAt)) {
      if (deck.length === 0) deck = random.shuffle(Object.keys(FAULTS));
      const name = deck.pop() ?? "";
      onFault(name);
      onServed({ deployment: index, arrivedAt, kids: undefined });
      return FAULTS[name]?.(res, refusedSet);
    }
    // What is published is decided now. It may be old by the time that it arrives.
    const published = deployment.signers.filter((_, i) =>
      isWithin([deployment.keys[i]?.published ?? [0, 0]], arrivedAt),
    );
    onServed({ deployment: index, arrivedAt, kids: published.map(({ kid }) => kid) });
    const body = JSON.stringify({ keys: published.map(({ jwk }) => jwk) });
    setTimeout(() => res.setHeader("Content-Type", "application/json").end(body), random.between(0, 120));
  };
}

/** ms that a call of the store hangs: longer than it is waited for. */
const HANGING_TIME = 5_000;

/** Hangs and fails as planned. */
export function createFaultyStore(
  store: IssuerStore,
  faults: { hanging: Span[]; failing: Span[] },
  clock: Clock,
): IssuerStore {
  const meetFaults = async () => {
    if (isWithin(faults.failing, clock())) throw new Error("the store is down");
    if (isWithin(faults.hanging, clock())) await new Promise((resolve) => setTimeout(resolve, HANGING_TIME).unref());
  };
  return {
    get: async (...args) => (await meetFaults(), store.get(...args)),
    ...(store.getMany && { getMany: async (names) => (await meetFaults(), (await store.getMany?.(names)) ?? []) }),
    set: async (...args) => (await meetFaults(), store.set(...args)),
    delete: async (...args) => (await meetFaults(), store.delete(...args)),
    compareAndSet: async (...args) => (await meetFaults(), store.compareAndSet(...args)),
  };
}
