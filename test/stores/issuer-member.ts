/** One of several processes of a backend: an issuer on a shared store, and an API behind the middleware. Its parent calls it. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentDirectory } from "../../src/index.js";
import { createIssuer, type Issuer, type MintClaims, type MintedToken } from "../../src/issuer.js";
import { engineNamed, type Opened } from "./engines.js";

const engine = process.argv[2] === "memory" ? undefined : engineNamed(process.argv[2]);
let opened: Opened | undefined;
let current: Issuer | undefined;

function issuer(): Issuer {
  if (current === undefined) throw new Error("not started");
  return current;
}

async function kids(): Promise<string> {
  const { keys } = await issuer().jwks();
  return keys.map(({ kid }) => kid).join();
}

const calls = {
  kids,
  /** @param at ms since the epoch: when all members start. @returns the kids that it publishes */
  async start(place: string, at: number): Promise<string> {
    await opened?.close();
    opened = undefined;
    opened = await engine?.open(place);
    while (Date.now() < at);
    current = await createIssuer({ store: opened?.store });
    return kids();
  },
  /** Another issuer, on the connection that is there. */
  async startAgain(name?: string): Promise<void> {
    await createIssuer({ store: opened?.store, name });
  },
  mint: (claims: MintClaims, times: number): Promise<MintedToken[]> =>
    Promise.all(Array.from({ length: times }, () => issuer().mint(claims))),
  jwks: () => issuer().jwks(),
  rotateKey: (delay?: number) => issuer().rotateKey({ delay }),
  withdrawKey: (kid: string) => issuer().withdrawKey(kid),
  revokeAgent: (id: string) => issuer().revokeAgent(id),
  reinstateAgent: (id: string) => issuer().reinstateAgent(id),
  /** @param hasFind whether an assertion is looked up in one round trip */
  async listen(hasFind = true): Promise<string> {
    const { directory } = issuer();
    const slow: AgentDirectory = {
      findAgent: (id) => directory.findAgent(id),
      findTask: (id) => directory.findTask(id),
    };
    const app = express();
    app.use(issuer().router());
    const auth = agentIdentityAuth("https://gw.example", { directory: hasFind ? directory : slow, bearer: false });
    app.get("/tasks", auth, (req, res) => void res.json({ agent: req.agentIdentity?.agentRuntimeId }));
    app.use(agentIdentityErrorHandler());
    const server = createServer(app).listen(0, "127.0.0.1");
    await once(server, "listening");
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  },
};

export type Calls = typeof calls;
export type Call = [id: number, name: keyof Calls, args: unknown[]];
export type Return = [id: number, value: unknown, error?: string];

process.on("message", ([id, name, args]: Call) => {
  const call = calls[name].bind(calls) as (...args: unknown[]) => Promise<unknown>;
  void call(...args).then(
    (value) => process.send?.([id, value] satisfies Return),
    (error: unknown) => process.send?.([id, undefined, String(error)] satisfies Return),
  );
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
