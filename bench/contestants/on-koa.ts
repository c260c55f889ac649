/** A Koa app whose only route is everything, and what a contestant on Koa has to say for it. */

import Koa, { type Middleware } from "koa";
import type { Trust } from "../backend.js";
import type { Contestant } from "../contestants.js";

interface ContestantOnKoa<State> extends Contestant {
  /** The middleware that lets only the backend's agents through. */
  readonly protect: (trust: Trust) => Middleware<State>[];
  /** The agent that it found. */
  readonly agentOf: (state: State) => string | undefined;
}

export function onKoa<State>(contestant: Omit<ContestantOnKoa<State>, "createListener">): Contestant {
  const { title, packages, protect, agentOf } = contestant;
  return {
    title,
    packages: ["koa", ...packages],
    createListener(trust) {
      const app = new Koa<State>();
      for (const middleware of protect(trust)) app.use(middleware);
      app.use((ctx) => {
        ctx.body = { agent: agentOf(ctx.state) };
      });
      const handle = app.callback();
      return (req, res) => void handle(req, res);
    },
  };
}
