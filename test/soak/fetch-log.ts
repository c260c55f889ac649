/** All fetches of keys that the server made, as the endpoints saw them, or did not. */

import type { JwksFetchRecord } from "./backend.js";
import type { FetchAsked } from "./server.js";

/** @returns one log for each deployment, in the order in which the server asked */
export function createFetchLogs(
  deployments: number,
  asked: readonly FetchAsked[],
  arrived: readonly JwksFetchRecord[],
): JwksFetchRecord[][] {
  return Array.from({ length: deployments }, (_, deployment) => {
    const seen = arrived.filter((fetch) => fetch.deployment === deployment);
    const lost = asked
      .filter((fetch) => fetch.deployment === deployment && !seen.some(({ askedAt }) => askedAt === fetch.askedAt))
      .map(({ askedAt }) => createLostFetch(deployment, askedAt));
    return [...seen, ...lost].sort((a, b) => a.askedAt - b.askedAt);
  });
}

/** One that was given up before it got as far as the endpoint. */
function createLostFetch(deployment: number, askedAt: number): JwksFetchRecord {
  const nothing = { answeredAt: null, isComplete: false, kids: null, fault: null };
  return { deployment, askedAt, arrivedAt: askedAt, closedAt: askedAt, ...nothing };
}
