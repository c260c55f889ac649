/** The load generator, in a process of its own: sends tokens over HTTP and accepts nothing but the right answer. */

import autocannon from "autocannon";
import { CONNECTIONS } from "./plan.js";
import { answerParent } from "./processes.js";
import { percentile } from "./statistics.js";
import { readTokens } from "./tokens.js";

export type LoadQuestion = { read: { tokenFile: string; count: number } } | { send: LoadOrder };

export interface LoadOrder {
  url: string;
  /** Which tokens of the file. */
  from: number;
  count: number;
  /** Every connection has its share of them, and repeats it for so long; left out: each token is sent once. */
  seconds?: number;
  /** Default `Bearer`. */
  scheme?: "Bearer" | "AgentAssertion";
}

export interface LoadResult {
  requests: number;
  requestsPerSecond: number;
  /** ms. */
  p99: number;
}

let tokens: string[] = [];

answerParent(async (question: LoadQuestion) => {
  if ("send" in question) return send(question.send);
  tokens = await readTokens(question.read.tokenFile, 0, question.read.count);
  return tokens.length;
});

async function send({ url, from, count, seconds, scheme = "Bearer" }: LoadOrder): Promise<LoadResult> {
  const requests = tokens.slice(from, from + count);
  let connection = 0;
  const run = autocannon({
    url,
    connections: CONNECTIONS,
    sampleInt: 50,
    ...(seconds === undefined ? { amount: count } : { duration: seconds }),
    setupClient(client) {
      const offset = connection++;
      const own = requests.filter((_, i) => i % CONNECTIONS === offset);
      client.setRequests(own.map((token) => ({ headers: { authorization: `${scheme} ${token}` } })));
    },
    verifyBody: (body) => /^\{"agent":"[\da-f-]{36}"\}$/.test(body),
  });

  // Timed here, because autocannon counts by the second and keeps latencies in whole ms; and from when every connection
  // may have had an answer, because the first one has in it how long it took to connect.
  const latencies: number[] = [];
  let answers = 0;
  let startedAt = 0;
  let endedAt = 0;
  run.on("response", (_client, _status, _bytes, milliseconds) => {
    endedAt = performance.now();
    if (++answers === CONNECTIONS) startedAt = endedAt;
    else if (answers > CONNECTIONS) latencies.push(milliseconds);
  });
  const result = await run;

  const failures = result.non2xx + result.errors + result.timeouts + result.mismatches;
  if (failures > 0) throw new Error(`${failures} requests were not answered as they should be`);
  if (seconds === undefined && answers !== count) throw new Error(`${answers} answers to ${count} requests`);
  return {
    requests: answers,
    requestsPerSecond: latencies.length / ((endedAt - startedAt) / 1000),
    p99: percentile(latencies, 0.99),
  };
}
