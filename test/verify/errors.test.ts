import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect, promisify } from "node:util";
import { build } from "esbuild";
import type { ErrorRequestHandler } from "express";
import createError from "http-errors";
import Koa from "koa";
import Koa2 from "koa2";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import * as fetchAdapter from "../../src/fetch.js";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  AgentIdentityError,
  createVerifier,
  isAgentIdentityError,
} from "../../src/index.js";
import * as koaAdapter from "../../src/koa.js";
import { createErrorFactory, Refusal, toVerifierError } from "../../src/verify/outcome/errors.js";
import { expectFailure } from "../support/refusals.js";
import { claims, mint, signingKey, signToken } from "../support/agents.js";
import { expressReleases } from "../support/express.js";
import { listen, send, startBackend } from "../support/servers.js";

const baseUrl = "https://gw.example/backend-api";
const jwks = { keySet: { keys: [signingKey.jwk] } };
const token = mint();
const unknownKid = signToken({ alg: "RS256", kid: "key-2" }, claims());

const sent = (credentials?: string) => ({
  headers: credentials === undefined ? {} : { authorization: `Bearer ${credentials}` },
});

/** What a promise rejects with. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail("it was accepted"),
    (reason: unknown) => reason,
  );

const refusalOf = async (credentials?: string, agents = agentIdentityAuth(baseUrl, { jwks })) =>
  (await failure(agents.authenticate(sent(credentials)))) as AgentIdentityError;

describe("AgentIdentityError", () => {
  test("is an Error of its own class, with plain fields that anyone may change", async () => {
    const error = await refusalOf("abc");
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(AgentIdentityError);
    expect(isAgentIdentityError(error)).toBe(true);
    expect(error.name).toBe("AgentIdentityError");
    expect(String(error)).toBe("AgentIdentityError: The token is not a well-formed JWT.");
    expect(Object.keys(error).sort()).toEqual(["code", "expose", "headers", "status", "statusCode"]);
    expect(error).toMatchObject({ status: 401, statusCode: 401, code: "token_malformed", expose: true });
    const changed = { status: 403, statusCode: 403, code: "mine", expose: false, headers: {}, message: "mine" };
    expect(Object.assign(error, changed)).toMatchObject(changed);
    expect(error.headers).toEqual({});
  });

  test("each one has headers of its own", async () => {
    const [first, second] = [await refusalOf("abc"), await refusalOf("abc")];
    first.headers["X-More"] = "1";
    expect(second.headers).not.toHaveProperty("X-More");
  });

  test("the verifier, /fetch and Koa give the same class", async () => {
    const fetchAgents = fetchAdapter.agentIdentityAuth(baseUrl, { jwks });
    const errors = [
      await failure(createVerifier(baseUrl, { jwks }).verify("abc")),
      await failure(fetchAgents.authenticate(new Request("http://localhost/"))),
      await failure(koaAdapter.agentIdentityAuth(baseUrl, { jwks }).authenticate(sent())),
    ];
    for (const error of errors) expect(error).toBeInstanceOf(AgentIdentityError);
    expect(koaAdapter.AgentIdentityError).toBe(AgentIdentityError);
    expect(fetchAdapter.AgentIdentityError).toBe(AgentIdentityError);
  });

  test("nothing else is one", () => {
    const imitation = { name: "AgentIdentityError", status: 401, code: "token_expired", headers: {} };
    const others = [undefined, null, "token_expired", 401, imitation, Object.assign(new Error("x"), imitation)];
    for (const other of others) expect(isAgentIdentityError(other)).toBe(false);
  });

  test("frameworks take it for an error of http-errors", async () => {
    const agents = agentIdentityAuth(baseUrl, { jwks });
    expect(createError.isHttpError(await refusalOf("abc", agents))).toBe(true);
    const error = await failure(koaAdapter.agentIdentityAuth(baseUrl, { jwks }).authenticate(sent()));
    expect(createError.isHttpError(error)).toBe(true);
  });

  test("a 503 may be shown too", async () => {
    const backend = await startBackend();
    backend.answer = (_req, res) => res.writeHead(500).end();
    const error = await failure(agentIdentityAuth(backend.baseUrl).authenticate(sent(token)));
    expect(error).toMatchObject({ status: 503, statusCode: 503, expose: true });
  });
});

describe("cause", () => {
  test("is an Error with fields, made once, and not enumerable", async () => {
    const error = await refusalOf(unknownKid);
    expect(Object.keys(error)).not.toContain("cause");
    const { cause } = error;
    expect(cause).toBeInstanceOf(Error);
    expect(cause).toMatchObject({
      kid: "key-2",
      message: expect.stringContaining("key-2") as string,
      reason: cause?.message,
    });
    expect(error.cause).toBe(cause);
    expect(Object.keys(error)).not.toContain("cause");
    expect(JSON.stringify(error)).not.toContain("key-2");
  });

  test("is undefined where the code says it all, and may be set", async () => {
    const error = await refusalOf();
    expect(error.cause).toBeUndefined();
    const mine = new Error("mine");
    error.cause = mine;
    expect(error.cause).toBe(mine);
  });

  test("inspect shows it, also when nobody has read it", async () => {
    expect(inspect(await refusalOf(unknownKid))).toContain("no trusted key has the kid key-2");
  });

  test("pino shows it, also when nobody has read it", async () => {
    expect(pino.stdSerializers.err(await refusalOf(unknownKid))).toMatchObject({
      type: "AgentIdentityError",
      code: "key_untrusted",
      message: expect.stringContaining("no trusted key has the kid key-2") as string,
    });
    expect(pino.stdSerializers.errWithCause(await refusalOf(unknownKid))).toMatchObject({
      cause: { kid: "key-2", message: "no trusted key has the kid key-2" },
    });
    const lines: string[] = [];
    pino({}, { write: (line: string) => void lines.push(line) }).error(await refusalOf(unknownKid));
    expect(lines[0]).toContain("no trusted key has the kid key-2");
  });

  test("no account is in it", async () => {
    const agents = agentIdentityAuth(baseUrl, { jwks });
    const account = mint({ account_id: "acct-of-the-agent" });
    for (const restricted of [
      agents.restrictTo({ forcedChatgptWorkspaceId: "acct-allowed" }),
      agents.restrictTo({ forcedLoginMethod: "api" }),
      agents.require(() => false),
    ]) {
      const error = (await failure(restricted.authenticate(sent(account)))) as AgentIdentityError;
      expect(error).toMatchObject({ status: 403, cause: { reason: expect.any(String) as string } });
      expect(inspect(error, { showHidden: true, getters: true, depth: Infinity })).not.toMatch(/acct-/);
    }
  });
});

describe("stack", () => {
  const framesOf = ({ stack = "" }: Error) => stack.split("\n").filter((line) => /^\s+at /.test(line));

  test("a refusal has no frames, nor has its cause, and the limit is as it was", async () => {
    const { stackTraceLimit } = Error;
    onTestFinished(() => void (Error.stackTraceLimit = stackTraceLimit));
    for (const limit of [7, 0, Infinity]) {
      Error.stackTraceLimit = limit;
      const error = toVerifierError(new Refusal("key_untrusted", { kid: "key-2" }));
      expect(framesOf(error)).toEqual([]);
      expect(framesOf(error.cause ?? expect.fail())).toEqual([]);
      expect(Error.stackTraceLimit).toBe(limit);
    }
    Error.stackTraceLimit = 10;
    expect(framesOf(await refusalOf("abc"))).toEqual([]);
    expect(framesOf(new Error("mine")).length).toBeGreaterThan(0);
  });

  test("the limit is as it was when something throws meanwhile", () => {
    const { stackTraceLimit } = Error;
    const thrown = new Error("thrown");
    const details = {
      get kid(): string {
        throw thrown;
      },
      reason: "x",
    };
    expect(() => toVerifierError(new Refusal("key_untrusted", details)).cause).toThrow(thrown);
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
    const noSuchCode = new Refusal("no_such_code" as "key_untrusted");
    expect(() => createErrorFactory({ realm: "x", resourceMetadata: undefined })(noSuchCode)).toThrow(TypeError);
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });

  test("frozen intrinsics: there is a stack, and no failure", async () => {
    const script = `
      const { createVerifier } = await import(${JSON.stringify(urlOf(copy, "fetch.js"))});
      const verifier = createVerifier("${baseUrl}", { jwks: { keySet: ${JSON.stringify(jwks.keySet)} } });
      const error = await verifier.verify("abc").catch((error) => error);
      console.log(error.code, error.stack.includes("\\n    at "));
    `;
    expect(await runNode(script, "--frozen-intrinsics")).toBe("token_malformed true\n");
  });
});

const root = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

async function runNode(script: string, ...flags: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [...flags, "--input-type=module", "--eval", script], { cwd: root });
  return stdout;
}

const directories: string[] = [];

/** From where the packages can be found that are imported. */
async function createDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "agent-identity-auth-"));
  directories.push(directory);
  await writeFile(join(directory, "package.json"), '{"type":"module"}');
  await symlink(join(root, "node_modules"), join(directory, "node_modules"));
  return directory;
}

const urlOf = (directory: string, name: string) => pathToFileURL(join(directory, "dist", name)).href;

/** Where a copy of the package lies, compiled file by file. */
let copy: string;

beforeAll(async () => {
  copy = await createDirectory();
  const files = await readdir(join(root, "src"), { recursive: true });
  const entryPoints = files.filter((name) => name.endsWith(".ts")).map((name) => join(root, "src", name));
  await build({ entryPoints, outdir: join(copy, "dist"), outbase: join(root, "src"), target: "node20" });
});

afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true });
});

/** One ECMAScript module for Node, without a banner. */
async function bundle(entry: string) {
  const directory = await createDirectory();
  const outfile = join(directory, "dist", entry.replace(".ts", ".mjs"));
  const entryPoints = [join(root, "src", entry)];
  const { metafile } = await build({
    entryPoints,
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    metafile: true,
  });
  return { url: pathToFileURL(outfile).href, inputs: Object.keys(metafile.inputs) };
}

describe("http-errors", () => {
  test.each([
    ["fetch.js", false],
    ["verify/tokens/create-verifier.js", false],
    ["testing.js", false],
    ["index.js", true],
    ["koa.js", true],
  ])("%s loads it: %s", async (name, isLoaded) => {
    const script = `
      import { createRequire } from "node:module";
      await import(${JSON.stringify(urlOf(copy, name))});
      const loaded = Object.keys(createRequire(import.meta.url).cache);
      console.log(loaded.some((path) => /node_modules.(http-errors|depd)/.test(path)));
    `;
    expect(await runNode(script)).toBe(`${String(isLoaded)}\n`);
  });

  test("a bundle of /fetch loads without a banner, and verifies a token", async () => {
    const { url, inputs } = await bundle("fetch.ts");
    expect(inputs.filter((name) => /node_modules\/(http-errors|depd)/.test(name))).toEqual([]);
    const script = `
      const { agentIdentityAuth, createVerifier } = await import(${JSON.stringify(url)});
      const options = { jwks: { keySet: ${JSON.stringify(jwks.keySet)} } };
      const agents = agentIdentityAuth("${baseUrl}", options);
      const headers = { authorization: "Bearer ${token}" };
      const identity = await agents.authenticate(new Request("http://localhost/", { headers }));
      const same = await createVerifier("${baseUrl}", options).verify("${token}");
      console.log(identity.agentRuntimeId, same.agentRuntimeId);
    `;
    expect(await runNode(script)).toBe("agent-1 agent-1\n");
  });
});

type Package = typeof import("../../src/index.js");

describe.each<[name: string, locate: () => Promise<string>]>([
  ["a second copy", () => Promise.resolve(urlOf(copy, "index.js"))],
  ["a bundle", async () => (await bundle("fetch.ts")).url],
  [
    "a linked copy",
    async () => {
      const directory = await createDirectory();
      await cp(join(copy, "dist"), join(directory, "package", "dist"), { recursive: true });
      await symlink(join(directory, "package", "dist"), join(directory, "dist"));
      return urlOf(directory, "index.js");
    },
  ],
])("%s of the package", (_, locate) => {
  test("recognises our errors, and we recognise its errors", async () => {
    const other = (await import(await locate())) as Package;
    const theirs = await failure(other.createVerifier(baseUrl, { jwks }).verify("abc"));
    expect(theirs).not.toBeInstanceOf(AgentIdentityError);
    expect(isAgentIdentityError(theirs)).toBe(true);
    expect(other.isAgentIdentityError(await refusalOf())).toBe(true);
    expect(fetchAdapter.agentIdentityErrorResponse(theirs)?.status).toBe(401);

    for (const [, express] of expressReleases) {
      const app = express();
      app.use((_req, _res, next) => {
        next(theirs);
      });
      app.use(agentIdentityErrorHandler());
      expectFailure(await send((await listen(app)).url), "token_malformed");
    }
  });
});

/** Each would make a refusal's body unreadable, or belongs to another one. */
const LEFT_OVER: [name: string, value: string][] = [
  ["Content-Length", "5"],
  ["Transfer-Encoding", "chunked"],
  ["Content-Encoding", "gzip"],
  ["Content-Range", "bytes 0-9/10"],
  ["ETag", '"v1"'],
  ["Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"],
];

interface Handled {
  /** Sets these headers for another answer first. */
  headers?: [name: string, value: string][];
  onError?: (...args: unknown[]) => void;
  /** Begins an answer before the refusal comes. */
  begun?: boolean;
}

interface Served {
  url: string;
  /** What came to the next error handler. */
  passedOn: unknown[];
  /** `res.err` of each response that has ended. */
  logged: unknown[];
}

function serveExpress(express: (typeof expressReleases)[0][1]) {
  return async ({ headers = [], onError, begun = false }: Handled): Promise<Served> => {
    const passedOn: unknown[] = [];
    const logged: unknown[] = [];
    const app = express();
    app.use((_req, res, next) => {
      res.on("close", () => logged.push((res as { err?: unknown }).err));
      for (const [name, value] of headers) res.setHeader(name, value);
      if (begun) res.write("begun");
      next();
    });
    app.use(agentIdentityAuth(baseUrl, { jwks }), agentIdentityErrorHandler({ onError }));
    app.use(((error, _req, res, _next) => {
      passedOn.push(error);
      res.end();
    }) as ErrorRequestHandler);
    return { ...(await listen(app)), passedOn, logged };
  };
}

function serveKoa(release: typeof Koa) {
  return async ({ headers = [], onError, begun = false }: Handled): Promise<Served> => {
    const passedOn: unknown[] = [];
    const logged: unknown[] = [];
    const app = new release();
    app.use(async (ctx, next) => {
      ctx.res.on("close", () => logged.push((ctx.res as { err?: unknown }).err));
      await next().catch((error: unknown) => {
        passedOn.push(error);
        ctx.res.end();
      });
    });
    app.use(koaAdapter.agentIdentityErrorHandler({ onError }));
    app.use((ctx, next) => {
      for (const [name, value] of headers) ctx.set(name, value);
      if (begun) {
        ctx.respond = false;
        ctx.status = 200;
        ctx.res.write("begun");
      }
      return next();
    });
    app.use(koaAdapter.agentIdentityAuth(baseUrl, { jwks }));
    const listener = app.callback();
    return { ...(await listen((req, res) => void listener(req, res))), passedOn, logged };
  };
}

describe.each<[name: string, serve: (handled: Handled) => Promise<Served>]>([
  ...expressReleases.map(([name, express]): [string, (handled: Handled) => Promise<Served>] => [
    name,
    serveExpress(express),
  ]),
  ["Koa 2", serveKoa(Koa2)],
  ["Koa 3", serveKoa(Koa)],
])("agentIdentityErrorHandler of %s", (_, serve) => {
  test.each(LEFT_OVER)("removes a %s of another answer", async (name, value) => {
    const { url } = await serve({ headers: [[name, value]] });
    const answer = await send(url);
    expectFailure(answer, "credentials_missing");
    expect(answer.headers[name.toLowerCase()]).not.toBe(value);
  });

  test("keeps other headers", async () => {
    const { url } = await serve({ headers: [["X-Request-Id", "1"], ...LEFT_OVER] });
    const answer = await send(url);
    expectFailure(answer, "credentials_missing");
    expect(answer.headers["x-request-id"]).toBe("1");
  });

  test("calls onError with the error and the request, and sets res.err", async () => {
    const onError = vi.fn();
    const { url, logged, passedOn } = await serve({ onError });
    await send(`${url}/path`);
    expect(onError).toHaveBeenCalledOnce();
    const [error, request] = onError.mock.calls[0] as [AgentIdentityError, { url?: string }];
    expect(error).toBeInstanceOf(AgentIdentityError);
    expect(error.code).toBe("credentials_missing");
    expect(request.url).toBe("/path");
    await expect.poll(() => logged).toEqual([error]);
    expect(passedOn).toEqual([]);
  });

  test("passes on an error that comes after an answer has begun", async () => {
    const onError = vi.fn();
    const { url, logged, passedOn } = await serve({ onError, begun: true });
    expect(await send(url)).toMatchObject({ status: 200, body: "begun" });
    expect(passedOn).toMatchObject([{ code: "credentials_missing" }]);
    expect(onError).not.toHaveBeenCalled();
    await expect.poll(() => logged).toEqual([undefined]);
  });
});

test.each([
  ["Express", agentIdentityErrorHandler],
  ["Koa", koaAdapter.agentIdentityErrorHandler],
])("options of the error handler of %s", (_, create) => {
  const make = create as (options?: unknown) => unknown;
  expect(() => make({ onErorr: () => undefined })).toThrow(
    new TypeError('agentIdentityErrorHandler: there is no option "onErorr"; the options are onError'),
  );
  expect(() => make({ onError: "log" })).toThrow(/^agentIdentityErrorHandler: onError must be a function$/);
  expect(() => make(null)).toThrow(TypeError);
  for (const options of [undefined, {}, { onError: undefined }]) expect(make(options)).toBeTypeOf("function");
});
