/** An Express app with one route, and what a contestant on Express has to say for it. */

import express, { type NextFunction, type Request, type RequestHandler, type Response } from "express";
import type { Trust } from "../backend.js";
import type { Contestant } from "../contestants.js";

interface ContestantOnExpress extends Contestant {
  /** The handlers that let only the backend's agents through. */
  readonly protect: (trust: Trust) => RequestHandler[];
  /** The agent that they found. */
  readonly agentOf: (req: Request) => string | undefined;
}

export function onExpress(contestant: Omit<ContestantOnExpress, "createListener">): Contestant {
  const { title, packages, protect, agentOf } = contestant;
  return {
    title,
    packages: ["express", ...packages],
    createListener(trust) {
      const app = express();
      app.get("/tasks", ...protect(trust), (req, res) => {
        res.json({ agent: agentOf(req) });
      });
      app.use((error: { status?: number }, _req: Request, res: Response, next: NextFunction) => {
        if (res.headersSent) next(error);
        else res.status(error.status ?? 500).json({ error: "refused" });
      });
      return app;
    },
  };
}
