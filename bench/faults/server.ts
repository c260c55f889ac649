/** A contestant's servers, one for each fault, in a process of its own. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Trust } from "../backend.js";
import { contestants, type ContestantName } from "../contestants.js";
import { answerParent } from "../processes.js";

export type ServerQuestion = { listen: { name: ContestantName; trust: Trust } } | { received: true } | { memory: true };

/** Requests that have come in at the server that was started last. */
let received = 0;

answerParent((question: ServerQuestion) => {
  if ("listen" in question) return listen(question.listen.name, question.listen.trust);
  if ("received" in question) return received;
  return process.resourceUsage().maxRSS * 1024; // the most so far
});

async function listen(name: ContestantName, trust: Trust): Promise<string> {
  const { contestant } = await contestants[name]();
  const server = createServer(contestant.createListener(trust));
  received = 0;
  server.prependListener("request", () => received++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`;
}
