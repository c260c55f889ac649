/** Your own backend, on Express and as the README has it, that writes down who reached its API and who did not. */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  type AgentDirectory,
  type AgentIdentity,
  type AgentIdentityMiddleware,
  type LoginRestrictions,
} from "../../dist/index.js";
import {
  createIssuer,
  type Issuer,
  type IssuerOptions,
  type MintClaims,
  type RouterOptions,
} from "../../dist/issuer.js";
import { cannedCodexApi } from "../../dist/testing.js";

/** What the model says, at every turn. */
export const OWN_MODEL_SAYS = "a turn behind the middleware";

export const RESPONSES = "/backend-api/codex/responses";

export interface ApiCall {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** As the middleware set it. */
  readonly identity: AgentIdentity | undefined;
  readonly headers: Readonly<Record<"authorization" | "account", string | undefined>>;
}

export interface ApiRefusal {
  readonly path: string;
  readonly code: string;
  /** Registrations answered before it. */
  readonly registrations: number;
}

export interface OwnBackendOptions {
  /** Who may use the API at and below `path`. */
  restricted?: { path: string; to: LoginRestrictions };
  /** A `store` here outlives the issuer: see `restart`. */
  issuer?: IssuerOptions;
  router?: RouterOptions;
  /** In front of everything. */
  before?: RequestHandler;
  /** The API behind the middleware. Default: one answer for every turn. */
  codexApi?: RequestHandler;
  /** Between the issuer's directory and the middleware. */
  wrapDirectory?: (directory: AgentDirectory, issuer: Issuer) => AgentDirectory;
}

export interface OwnBackend {
  /** `http://127.0.0.1:PORT/backend-api`: what both sides are configured with. */
  readonly baseUrl: string;
  readonly issuer: Issuer;
  readonly server: Server;
  /** What stands before the API. */
  readonly agents: AgentIdentityMiddleware;
  /** Requests that reached the protected API, in order. */
  readonly calls: readonly ApiCall[];
  /** Requests that the middleware kept from it. */
  readonly refusals: readonly ApiRefusal[];
  /** Status of each answer to a registration. */
  readonly registrations: readonly number[];
  /** A token of `acct-1` with all that any release needs, and whose it is. */
  mint(claims?: Partial<MintClaims>): ReturnType<Issuer["mint"]>;
  /** As after a restart of the process: a new issuer and a new middleware, which know what the store knows. */
  restart(): Promise<void>;
  /** Forgets what it wrote down. */
  clear(): void;
  close(): Promise<void>;
}

export async function startOwnBackend(options: OwnBackendOptions = {}): Promise<OwnBackend> {
  const { restricted, wrapDirectory = (directory: AgentDirectory) => directory } = options;
  const {
    codexApi = cannedCodexApi(OWN_MODEL_SAYS),
    before = ((_req, _res, next) => {
      next();
    }) as RequestHandler,
  } = options;
  const calls: ApiCall[] = [];
  const refusals: ApiRefusal[] = [];
  const registrations: number[] = [];
  let issuer = await createIssuer(options.issuer);
  let agents: AgentIdentityMiddleware;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const backend: OwnBackend = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/backend-api`,
    get issuer() {
      return issuer;
    },
    server,
    get agents() {
      return agents;
    },
    calls,
    refusals,
    registrations,
    mint: (claims) =>
      issuer.mint({
        accountId: "acct-1",
        chatgptUserId: "user-1",
        planType: "pro",
        email: "agent@example.com",
        ...claims,
      }),
    async restart() {
      issuer = await createIssuer(options.issuer);
      serve();
    },
    clear() {
      for (const list of [calls, refusals, registrations]) list.length = 0;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  const writeDownRegistration: RequestHandler = (req, res, next) => {
    if (req.path.endsWith("/task/register")) res.once("finish", () => registrations.push(res.statusCode));
    next();
  };
  const writeDownCall: RequestHandler = (req, _res, next) => {
    const { authorization, "chatgpt-account-id": account } = req.headers;
    calls.push({
      method: req.method,
      path: pathOf(req.originalUrl),
      identity: req.agentIdentity,
      headers: { authorization, account: account?.toString() },
    });
    next();
  };
  const writeDownRefusal: ErrorRequestHandler = (error: unknown, req, _res, next) => {
    refusals.push({
      path: pathOf(req.originalUrl),
      code: String((error as { code?: unknown }).code),
      registrations: registrations.length,
    });
    next(error);
  };

  const serve = () => {
    const app = express();
    agents = agentIdentityAuth(backend.baseUrl, { directory: wrapDirectory(issuer.directory, issuer) });
    app.use(before, writeDownRegistration, issuer.router(options.router));
    if (restricted) app.use(restricted.path, agents.restrictTo(restricted.to));
    app.use("/backend-api", agents, writeDownCall, codexApi);
    app.use(writeDownRefusal, agentIdentityErrorHandler());
    server.removeAllListeners("request").on("request", app);
  };
  serve();
  return backend;
}

function pathOf(url: string): string {
  return url.split("?", 1)[0] ?? "";
}
