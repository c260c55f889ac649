/** What is sent to every server in every environment, and the verdict that is right. */

import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { request } from "node:http";
import { isDeepStrictEqual } from "node:util";

const ANSWER_TIMEOUT = 5_000;
const HANGS_ARE_ENOUGH = 3;

const rsa = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed25519 = () => generateKeyPairSync("ed25519");
const [backend, attacker] = [rsa(), rsa()];
const [agent, madeUpAgent] = [ed25519(), ed25519()];
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const keySetOf = ({ publicKey }: { publicKey: KeyObject }) => {
  const { n, e } = publicKey.export({ format: "jwk" }); // eslint-disable-line no-restricted-syntax -- once, and not while Node generates keys
  return { keys: [{ kty: "RSA", n, e, kid: "key-1", use: "sig", alg: "RS256" }] };
};
const ed25519Jwk = ({ publicKey }: { publicKey: KeyObject }) => {
  const der = publicKey.export({ format: "der", type: "spki" });
  return { kty: "OKP", crv: "Ed25519", x: der.subarray(-32).toString("base64url") };
};

/** What a child is told of keys and agents. The attacker's key has the `kid` of the backend's. */
export const keys = {
  jwks: keySetOf(backend),
  attackerJwks: keySetOf(attacker),
  agentKey: ed25519Jwk(agent),
  attackerAgentKey: ed25519Jwk(madeUpAgent),
};

/** `200 ok` is the identity that is expected, `200 …` another one; a refusal is its status and code. */
export type Verdict = string;

export interface Row {
  name: string;
  /** The mount: see `children/servers.js`. */
  mount: string;
  authorization: string | undefined;
  expected: Verdict;
  body?: unknown;
}

/** @param now in seconds: the clock of the child, where it has one of its own */
export function createRows(now: number): Row[] {
  const claims = {
    iss: "https://chatgpt.com/codex-backend/agent-identity",
    aud: "codex-app-server",
    iat: now - 10,
    exp: now + 3600,
    agent_runtime_id: "agent-1",
    agent_private_key: "MC4CAQAwBQYDK2VwBCIEIA==",
    account_id: "acct-1",
    chatgpt_user_id: "user-1",
    email: "agent@example.com",
    plan_type: "pro",
    chatgpt_account_is_fedramp: false,
  };
  const identity = {
    agentRuntimeId: "agent-1",
    accountId: "acct-1",
    chatgptUserId: "user-1",
    email: "agent@example.com",
    planType: "pro",
    chatgptAccountIsFedramp: false,
    issuedAt: claims.iat,
    expiresAt: claims.exp,
  };
  const bearer = (overrides: object = {}, header: object = {}, { privateKey } = backend) => {
    const signed = `${encode({ alg: "RS256", kid: "key-1", ...header })}.${encode({ ...claims, ...overrides })}`;
    return `Bearer ${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}`;
  };
  const assertion = ({ privateKey } = agent, id = "agent-1", task = "task-1") => {
    const timestamp = new Date(now * 1000).toISOString().replace(/\.\d+/, "");
    const signature = sign(null, Buffer.from(`${id}:${task}:${timestamp}`), privateKey).toString("base64");
    return `AgentAssertion ${encode({ agent_runtime_id: id, signature, task_id: task, timestamp })}`;
  };
  const [valid, forged] = [bearer(), bearer({}, {}, attacker)];
  const asserted = { ...identity, email: null, issuedAt: now, expiresAt: now + 3600, taskId: "task-1" };

  const rows: [name: string, mount: string, authorization: string | undefined, expected: Verdict, body?: unknown][] = [
    ["forged, on cold keys", "forged-first", forged, "401 signature_invalid"],
    ["valid, after forged", "forged-first", valid, "200 ok", identity],
    ["valid", "bearer", valid, "200 ok", identity],
    ["valid, again", "bearer", valid, "200 ok", identity],
    ["forged, after valid", "bearer", forged, "401 signature_invalid"],
    ["expired", "bearer", bearer({ exp: now - 100 }), "401 token_expired"],
    ["unknown kid", "bearer", bearer({}, { kid: "key-2" }, attacker), "401 key_untrusted"],
    ["no credentials", "bearer", undefined, "401 credentials_missing"],
    ["another issuer", "bearer", bearer({ iss: "evil" }), "401 issuer_invalid"],
    ["another audience", "bearer", bearer({ aud: "evil" }), "401 audience_invalid"],
    ["no exp", "bearer", bearer({ exp: undefined }), "401 claims_invalid"],
    ["no account_id", "bearer", bearer({ account_id: undefined }), "401 claims_invalid"],
    ["no kid", "bearer", bearer({}, { kid: undefined }), "401 token_malformed"],
    ["no alg", "bearer", bearer({}, { alg: undefined }), "401 algorithm_not_allowed"],
    ["no email", "bearer", bearer({ email: undefined }), "200 ok", { ...identity, email: null }],
    ["assertion without a directory", "bearer", assertion(madeUpAgent), "401 scheme_unsupported"],
    ["its account allowed", "acct-1", valid, "200 ok", identity],
    ["its account not allowed", "acct-2", valid, "403 workspace_not_allowed"],
    ["forged, with its account allowed", "acct-1", forged, "401 signature_invalid"],
    ["none where optional", "optional", undefined, "200 ok", "nobody"],
    ["forged where optional", "optional", forged, "401 signature_invalid"],
    ["plain http to a stranger", "insecure", valid, "404 other"],
  ];
  for (const mount of ["synchronous", "asynchronous"]) {
    rows.push(
      [`made up, ${mount} directory`, mount, assertion(madeUpAgent, "anyone"), "401 assertion_invalid"],
      [`made up for a known agent, ${mount} directory`, mount, assertion(madeUpAgent), "401 assertion_invalid"],
      [`genuine, ${mount} directory`, mount, assertion(), "200 ok", asserted],
      [`genuine, again, ${mount} directory`, mount, assertion(), "200 ok", asserted],
      [`unknown task, ${mount} directory`, mount, assertion(agent, "agent-1", "task-2"), "401 invalid_task_id"],
      [`made up after genuine, ${mount} directory`, mount, assertion(madeUpAgent), "401 assertion_invalid"],
    );
  }
  return rows.map(([name, mount, authorization, expected, body]) => ({ name, mount, authorization, expected, body }));
}

/** `createVerifier` knows tokens only. */
export const isForVerifier = ({ mount, authorization }: Row): boolean =>
  ["bearer", "forged-first"].includes(mount) && authorization?.startsWith("Bearer ") === true;

export interface Counts {
  right: number;
  wrongAccepts: number;
  wrongRefusals: number;
  hangs: number;
  /** What was not right, a line each. */
  notes: string[];
}

/** One request after another: what is remembered of the first is part of the table. */
export async function drive(
  adapter: string,
  port: number,
  rows: Row[],
  allowed: (row: Row) => Verdict[],
): Promise<Counts> {
  const counts: Counts = { right: 0, wrongAccepts: 0, wrongRefusals: 0, hangs: 0, notes: [] };
  for (const keySource of ["static", "cold"]) {
    for (const row of rows) {
      const answer = counts.hangs < HANGS_ARE_ENOUGH ? await send(port, `/${keySource}/${row.mount}`, row) : "hang";
      if (allowed(row).includes(answer)) {
        counts.right++;
        continue;
      }
      if (answer === "hang") counts.hangs++;
      else if (answer.startsWith("200")) counts.wrongAccepts++;
      else counts.wrongRefusals++;
      counts.notes.push(`${adapter}, ${keySource} keys, ${row.name}: ${answer} instead of ${row.expected}`);
    }
  }
  return counts;
}

function send(port: number, path: string, { authorization, body }: Row): Promise<Verdict> {
  return new Promise((resolve) => {
    const headers = authorization === undefined ? {} : { authorization };
    const req = request({ host: "127.0.0.1", port, path, headers, agent: false }, (res) => {
      let text = "";
      res.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      res.on("end", () => {
        clearTimeout(timer);
        const { statusCode = 0 } = res;
        const answer = parse(text) as { error?: { code?: string } } | undefined;
        if (statusCode !== 200) resolve(`${statusCode} ${answer?.error?.code ?? "other"}`);
        else resolve(isDeepStrictEqual(answer, body) ? "200 ok" : `200 ${text.slice(0, 300)}`);
      });
    });
    const timer = setTimeout(() => {
      resolve("hang");
      req.destroy();
    }, ANSWER_TIMEOUT);
    req.on("error", (error) => {
      clearTimeout(timer);
      resolve(`no answer (${error.message})`);
    });
    req.end();
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
