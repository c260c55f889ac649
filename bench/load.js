/** The load generator, in a process of its own, so that its CPU time is not the server's. */

import autocannon from "autocannon";
import { answerParent } from "./processes.js";

const CONNECTIONS = 40;

/** Lists of `Authorization` headers, by name. */
const headers = {};

answerParent(({ keep, send }) => (keep ? void Object.assign(headers, keep) : sendRequests(send)));

/**
 * @param send.from the first header of the list to send
 * @param send.count how many headers of the list to send, again and again
 * @returns requests per second
 */
async function sendRequests({ url, list, from = 0, count = headers[list].length, amount, accepted }) {
  const requests = headers[list].slice(from, from + count).map((authorization) => ({
    headers: authorization === null ? {} : { authorization },
  }));
  let connection = 0;
  let endedAt;
  const running = autocannon({
    url,
    connections: CONNECTIONS,
    amount,
    sampleInt: 20, // ms until autocannon notices the end
    // Each connection has its share of the headers, so that a header is sent once before any is sent twice.
    setupClient(client) {
      const first = connection++ % requests.length;
      client.setRequests(requests.filter((_, i) => i % CONNECTIONS === first).map((request) => ({ ...request })));
      client.on("done", () => (endedAt = performance.now()));
    },
  });
  const startedAt = performance.now();
  const result = await running;
  const answered = accepted ? result["2xx"] : result["4xx"];
  if (answered !== amount)
    throw new Error(`${list}: ${JSON.stringify(result.statusCodeStats)}, ${result.errors} errors`);
  return (amount / (endedAt - startedAt)) * 1000;
}
