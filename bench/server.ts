/** One contestant's server, in a process of its own. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type NextFunction, type Request, type Response } from "express";
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
  const app = express();
  app.get("/tasks", ...contestant.protect(trust), (req, res) => {
    res.json({ agent: contestant.agentOf(req) });
  });
  app.use((error: { status?: number }, _req: Request, res: Response, next: NextFunction) => {
    if (res.headersSent) next(error);
    else res.status(error.status ?? 500).json({ error: "refused" });
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`;
}
