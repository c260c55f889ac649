/** One contestant's server, in a process of its own. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Trust } from "./backend.js";
import { contestants, type ContestantName } from "./contestants.js";
import { answerParent } from "./processes.js";

export type ServerQuestion = { listen: { name: ContestantName; trust: Trust } } | { cpuTime: true };

answerParent((question: ServerQuestion) => {
  if ("listen" in question) return listen(question.listen.name, question.listen.trust);
  const { user, system } = process.cpuUsage();
  return user + system;
});

async function listen(name: ContestantName, trust: Trust): Promise<string> {
  const { contestant } = await contestants[name]();
  const server = createServer(contestant.createListener(trust));
  server.keepAliveTimeout = 180_000; // the load generator keeps its connections while the others have their turns
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`;
}
