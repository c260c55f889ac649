import { generateKeyPairSync, sign, verify } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createIssuer } from "../../src/issuer.js";
import { claims } from "../support/agents.js";
import {
  assertion,
  createAgent,
  createDirectory,
  encodeEnvelope,
  signEnvelope,
  timestamp,
  type SigningAgent,
} from "../support/assertions.js";
import { listen } from "../support/servers.js";
import { hmac } from "./forged-token.js";
import { sendRaw } from "./raw-request.js";
import { startTarget, type SentHeaders, type Target, type Verdict } from "./target.js";

const agent = createAgent("agent-1");
const other = createAgent("agent-2", { accountId: "acct-2" });

/** `task-1` is the agent's and `task-2` the other's. */
const start = (...agents: SigningAgent[]): Promise<Target> =>
  startTarget(undefined, { directory: createDirectory(agent, other, ...agents) });

const present = (envelope: unknown): SentHeaders => ({ Authorization: `AgentAssertion ${encodeEnvelope(envelope)}` });

/** Signed by the agent: whatever text it is. */
const signText = (text: string, signer = agent): string =>
  sign(null, Buffer.from(text), signer.privateKey).toString("base64");

describe("the envelope", () => {
  const { agent_runtime_id: id, signature, task_id: taskId, timestamp: time } = signEnvelope(agent);
  const members = { agent_runtime_id: id, signature, task_id: taskId, timestamp: time };
  const json = JSON.stringify(members);
  const and = (more: string) => `${json.slice(0, -1)},${more}}`;
  const first = (more: string) => `{${more},${json.slice(1)}`;

  test("that is edited here is a good one", async () => {
    const target = await start();
    expect(await target.verdict(present(json))).toBe("accepted");
    const reversed = Object.fromEntries(Object.entries(members).reverse());
    expect(await target.verdict(present(reversed))).toBe("accepted");
  });

  test.each<[string, string, Verdict]>([
    ["an agent twice, the other's last", and('"agent_runtime_id":"agent-2"'), "assertion_invalid"],
    ["an agent twice, the signer last", first('"agent_runtime_id":"agent-2"'), "accepted"],
    ["a task twice, the other's last", and('"task_id":"task-2"'), "assertion_invalid"],
    ["a task twice, the signed one last", first('"task_id":"task-2"'), "accepted"],
    ["a time twice, a stale one last", and(`"timestamp":"${timestamp(-1000)}"`), "assertion_stale"],
    ["a time twice, another one last", and(`"timestamp":"${timestamp(-10)}"`), "assertion_invalid"],
    ["a signature twice, an empty one last", and('"signature":""'), "assertion_invalid"],
    ["a name in escapes, which is the same name", and('"\\u0074ask_id":"task-2"'), "assertion_invalid"],
    ["a name in other case", and('"Task_id":"task-2"'), "assertion_malformed"],
    ["an account", and('"account_id":"acct-2"'), "assertion_malformed"],
    ["an algorithm", and('"alg":"none"'), "assertion_malformed"],
    ["a key", and('"public_key":"AAAA"'), "assertion_malformed"],
    ["__proto__", and('"__proto__":{"account_id":"acct-2"}'), "assertion_malformed"],
    ["__proto__ of null", and('"__proto__":null'), "assertion_malformed"],
    ["constructor", and('"constructor":"x"'), "assertion_malformed"],
    ["an empty name", and('"":"x"'), "assertion_malformed"],
    ["all of them inherited", `{"__proto__":${json}}`, "assertion_malformed"],
    [
      "one of them inherited",
      `{"__proto__":{"task_id":"task-1"},"agent_runtime_id":"agent-1","signature":"","timestamp":"${time}"}`,
      "assertion_malformed",
    ],
    ["an array of one", `[${json}]`, "assertion_malformed"],
    ["a string", JSON.stringify(json), "assertion_malformed"],
    ["two of them", `${json}${json}`, "assertion_malformed"],
    ["something behind", `${json}x`, "assertion_malformed"],
    ["NUL behind", `${json}\0`, "assertion_malformed"],
    ["a byte-order mark", `\ufeff${json}`, "assertion_malformed"],
    ["white space, which JSON allows", ` ${json}\n`, "accepted"],
    ["an id in an array", json.replace('"agent-1"', '["agent-1"]'), "assertion_malformed"],
    ["an id that is a number", json.replace('"agent-1"', "1"), "assertion_malformed"],
    ["a signature that is null", json.replace(/"signature":"[^"]*"/, '"signature":null'), "assertion_malformed"],
    ["a signature in an array", json.replace(/"signature":("[^"]*")/, '"signature":[$1]'), "assertion_malformed"],
    ["a time that is a number", json.replace(/"timestamp":"[^"]*"/, '"timestamp":0'), "assertion_malformed"],
    ["4 KiB of white space", `${json}${" ".repeat(3_000)}`, "assertion_malformed"],
  ])("%s", async (_, text, code) => {
    const target = await start();
    expect(await target.verdict(present(text))).toBe(code);
    // Never a mix: whoever is let in is the one who has signed.
    for (const identity of target.given) {
      expect(identity).toMatchObject({ agentRuntimeId: "agent-1", taskId: "task-1", accountId: "acct-1" });
    }
  });

  test("without one of its members, or with one that is undefined", async () => {
    const directory = createDirectory(agent);
    directory.agents.set("undefined", agent.entry);
    directory.tasks.set("undefined", { agentRuntimeId: "agent-1", expiresAt: 4_000_000_000 });
    const target = await startTarget(undefined, { directory: directory });
    for (const name of Object.keys(members)) {
      const rest = { ...members, [name]: undefined };
      expect(await target.verdict(present(rest))).toBe("assertion_malformed");
    }
    expect(await target.verdict(present({}))).toBe("assertion_malformed");
    const signed = signText(`agent-1:undefined:${time}`);
    const envelope = { ...members, signature: signed, task_id: undefined };
    expect(await target.verdict(present(envelope))).toBe("assertion_malformed");
  });

  test("not UTF-8", async () => {
    const target = await start();
    const [before = "", after = ""] = json.split("agent-1");
    for (const bytes of ["80", "c0af", "eda080", "eda0bdedb880", "f4908080", "ff"]) {
      const envelope = Buffer.concat([Buffer.from(before), Buffer.from(bytes, "hex"), Buffer.from(after)]);
      const headers = { Authorization: `AgentAssertion ${envelope.toString("base64url")}` };
      expect(await target.verdict(headers)).toBe("assertion_malformed");
    }
  });

  test.each<[string, (encoded: string) => string, Verdict]>([
    ["padded", (encoded) => `${encoded}${"=".repeat((4 - (encoded.length % 4)) % 4 || 1)}`, "assertion_malformed"],
    ["a character more", (encoded) => `${encoded}A`, "assertion_malformed"],
    ["in standard base64", (encoded) => `${encoded.slice(0, -4)}+/${encoded.slice(-2)}`, "assertion_malformed"],
    ["a dot in the middle", (encoded) => `${encoded.slice(0, 8)}.${encoded.slice(8)}`, "assertion_malformed"],
    ["a space in the middle", (encoded) => `${encoded.slice(0, 8)} ${encoded.slice(8)}`, "request_malformed"],
    ["two of them", (encoded) => `${encoded},${encoded}`, "request_malformed"],
    ["in quotes", (encoded) => `"${encoded}"`, "request_malformed"],
    ["not encoded", () => json, "request_malformed"],
    ["encoded twice", (encoded) => encodeEnvelope(encoded), "assertion_malformed"],
    ["in hexadecimal", () => Buffer.from(json).toString("hex"), "assertion_malformed"],
    ["nothing", () => "", "request_malformed"],
  ])("%s", async (_, edit, code) => {
    const target = await start();
    const headers = { Authorization: `AgentAssertion ${edit(encodeEnvelope(json))}` };
    expect(await target.verdict(headers)).toBe(code);
  });

  test("a spare bit that is set", async () => {
    const target = await start();
    const text = json + " ".repeat((4 - (json.length % 3)) % 3); // so that it ends in spare bits
    const encoded = encodeEnvelope(text);
    expect(encoded.length % 4).toBe(2);
    expect(await target.verdict({ Authorization: `AgentAssertion ${encoded}` })).toBe("accepted");
    const spare = encoded.slice(0, -1) + String.fromCharCode(encoded.charCodeAt(encoded.length - 1) + 1);
    expect(Buffer.from(spare, "base64url")).toEqual(Buffer.from(encoded, "base64url"));
    expect(await target.verdict({ Authorization: `AgentAssertion ${spare}` })).toBe("assertion_malformed");
  });
});

describe("who has signed, and what", () => {
  const time = timestamp();
  const envelope = (id: string, taskId: string, signature: string, at = time) => ({
    agent_runtime_id: id,
    signature,
    task_id: taskId,
    timestamp: at,
  });

  test.each<[string, unknown, Verdict]>([
    [
      "another agent, for this one's task",
      envelope("agent-1", "task-1", signText(`agent-1:task-1:${time}`, other)),
      "assertion_invalid",
    ],
    ["another agent, as itself, for this one's task", signEnvelope(other, "task-1"), "task_invalid"],
    ["this agent, for the other's task", signEnvelope(agent, "task-2"), "task_invalid"],
    ["this agent, in the other's name", signEnvelope({ ...agent, id: "agent-2" }, "task-2"), "assertion_invalid"],
    ["an agent that nobody knows", signEnvelope(createAgent("agent-3"), "task-1"), "assertion_invalid"],
    ["the two ids swapped", envelope("task-1", "agent-1", signText(`agent-1:task-1:${time}`)), "assertion_invalid"],
    [
      "the two ids swapped in what is signed",
      envelope("agent-1", "task-1", signText(`task-1:agent-1:${time}`)),
      "assertion_invalid",
    ],
    ["without the task", envelope("agent-1", "task-1", signText(`agent-1:${time}`)), "assertion_invalid"],
    ["without the time", envelope("agent-1", "task-1", signText("agent-1:task-1")), "assertion_invalid"],
    ["nothing", envelope("agent-1", "task-1", signText("")), "assertion_invalid"],
    ["with another separator", envelope("agent-1", "task-1", signText(`agent-1|task-1|${time}`)), "assertion_invalid"],
    [
      "with a line break behind",
      envelope("agent-1", "task-1", signText(`agent-1:task-1:${time}\n`)),
      "assertion_invalid",
    ],
    [
      "the JSON of it",
      envelope(
        "agent-1",
        "task-1",
        signText(JSON.stringify({ agent_runtime_id: "agent-1", task_id: "task-1", timestamp: time })),
      ),
      "assertion_invalid",
    ],
    [
      "the digest of it",
      envelope(
        "agent-1",
        "task-1",
        sign(null, hmac("sha256", "")(Buffer.from(`agent-1:task-1:${time}`)), agent.privateKey).toString("base64"),
      ),
      "assertion_invalid",
    ],
  ])("%s", async (_, value, code) => {
    const target = await start();
    expect(await target.verdict(present(value))).toBe(code);
  });

  test("one text that could be cut in two ways is cut in none", async () => {
    // All of them sign a:b:c:TIME.
    const [long, short] = [createAgent("a:b"), createAgent("a")];
    const directory = createDirectory(long, short);
    directory.tasks.set("c", { agentRuntimeId: "a:b", expiresAt: 4_000_000_000 });
    directory.tasks.set("b:c", { agentRuntimeId: "a", expiresAt: 4_000_000_000 });
    const target = await startTarget(undefined, { directory: directory });
    expect(await target.verdict(present(signEnvelope(long, "c")))).toBe("assertion_malformed");
    expect(await target.verdict(present(signEnvelope(short, "b:c")))).toBe("assertion_malformed");
    expect(await target.verdict(present(signEnvelope(short, "b%3Ac")))).toBe("assertion_malformed");
    expect(await target.verdict(present(signEnvelope(short, "b\uff1ac")))).toBe("task_invalid");
    expect(directory.asked).toEqual(["a", "b\uff1ac"]);
  });

  test("names of Object.prototype are ids like others", async () => {
    const odd = createAgent("__proto__");
    const directory = createDirectory(odd);
    const target = await startTarget(undefined, { directory: directory });
    expect(await target.verdict(present(signEnvelope(odd)))).toBe("accepted");
    for (const id of ["constructor", "toString", "hasOwnProperty"]) {
      expect(await target.verdict(present(signEnvelope({ ...odd, id })))).toBe("assertion_invalid");
      expect(await target.verdict(present(signEnvelope(odd, id)))).toBe("task_invalid");
    }
  });
});

describe("a registration and an assertion", () => {
  async function startBackend() {
    const issuer = await createIssuer();
    const { token, agentRuntimeId } = await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1" });
    const payload = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as ReturnType<
      typeof claims
    >;
    const { url } = await listen(issuer.router());
    const privateKey = { key: Buffer.from(payload.agent_private_key, "base64"), format: "der", type: "pkcs8" } as const;
    return {
      id: agentRuntimeId,
      directory: issuer.directory,
      sign: (text: string) => sign(null, Buffer.from(text), privateKey).toString("base64"),
      async register(id: string, time: string, signature: string) {
        const answer = await fetch(`${url}/v1/agent/${id}/task/register`, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ timestamp: time, signature }),
        });
        return (await answer.json()) as { task_id?: string; error?: { code: string } };
      },
    };
  }

  test("are not taken for each other", async () => {
    const backend = await startBackend();
    const { id } = backend;
    const time = timestamp();
    const registration = backend.sign(`${id}:${time}`);
    const { task_id: taskId = "" } = await backend.register(id, time, registration);
    const target = await startTarget(undefined, { directory: backend.directory });
    const envelope = {
      agent_runtime_id: id,
      signature: backend.sign(`${id}:${taskId}:${time}`),
      task_id: taskId,
      timestamp: time,
    };
    expect(await target.verdict(present(envelope))).toBe("accepted");

    expect(await target.verdict(present({ ...envelope, signature: registration }))).toBe("assertion_invalid");
    expect(await target.verdict(present({ ...envelope, signature: registration, task_id: "" }))).toBe(
      "assertion_malformed",
    );
    for (const [asId, code] of [
      [id, "assertion_invalid"],
      [`${id}:${taskId}`, "assertion_malformed"],
      [`${id}%3A${taskId}`, "assertion_malformed"],
    ] as const) {
      const answer = await backend.register(asId, time, envelope.signature);
      expect(answer).toMatchObject({ error: { code } });
    }
  });
});

describe("a time", () => {
  const at = (time: string): unknown => ({ ...signEnvelope(agent, "task-1", time), timestamp: time });
  const time = timestamp();
  const [date = "", clock = ""] = time.slice(0, -1).split("T");

  test.each<[number, Verdict]>([
    [-290, "accepted"],
    [290, "accepted"],
    [-310, "assertion_stale"],
    [310, "assertion_stale"],
    [-86_400, "assertion_stale"],
    [86_400, "assertion_stale"],
    [-50 * 365 * 86_400, "assertion_stale"],
    [50 * 365 * 86_400, "assertion_stale"],
  ])("%i s from now: %s", async (offset, code) => {
    const target = await start();
    const authorization = assertion(agent, "task-1", timestamp(offset));
    for (let i = 0; i < 2; i++) expect(await target.verdict({ Authorization: authorization })).toBe(code);
  });

  test("is the one that is signed", async () => {
    const target = await start();
    const signed = signEnvelope(agent, "task-1", timestamp(-1000));
    expect(await target.verdict(present({ ...signed, timestamp: time }))).toBe("assertion_invalid");
  });

  test.each([
    "",
    " ",
    "now",
    "0",
    "NaN",
    "Infinity",
    String(Math.floor(Date.now() / 1000)),
    String(Date.now()),
    `${date}T${clock}`,
    `${date}T${clock}z`,
    `${date}t${clock}Z`,
    `${date} ${clock}Z`,
    `${date}T${clock}.000Z`,
    `${date}T${clock}.Z`,
    `${date}T${clock},0Z`,
    `${date}T${clock}+00:00`,
    `${date}T${clock}-00:00`,
    `${date}T${clock}+00:00Z`,
    `${date}T${clock}UTC`,
    `${date}T${clock} Z`,
    `${date}T${clock.slice(0, 5)}Z`,
    `${date}T${clock.replaceAll(":", "")}Z`,
    `${date.replaceAll("-", "")}T${clock}Z`,
    `${date}T${clock}Z\n`,
    `\n${date}T${clock}Z`,
    `${date}T${clock}Z\0`,
    ` ${date}T${clock}Z`,
    `${date}T${clock}Z `,
    `${date}T${clock}Z;${date}T${clock}Z`,
    `+00${date}T${clock}Z`,
    `-00${date}T${clock}Z`,
    `${date.slice(2)}T${clock}Z`,
    `${date}T24:00:00Z`,
    `${date}T23:59:60Z`,
    `${date}T23:60:00Z`,
    `${date}T-1:00:00Z`,
    "2026-02-29T00:00:00Z",
    "2026-02-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "+275760-09-13T00:00:01Z",
    time.replace(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
    time.replace(/\d/g, (digit) => String.fromCodePoint(0x660 + Number(digit))),
    time.replaceAll("-", "\u2010"),
    time.replaceAll(":", "\uff1a"),
    time.replace("T", "\u0422"),
    "Mon, 01 Jan 2026 00:00:00 GMT",
    "2026-W01-1T00:00:00Z",
    "2026-001T00:00:00Z",
    "__proto__",
  ])("%j", async (spelling) => {
    const target = await start();
    expect(await target.verdict(present(at(spelling)))).toBe("assertion_malformed");
  });

  test.each(["0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])(
    "%s is long ago, or far away",
    async (far) => {
      const target = await start();
      expect(await target.verdict(present(at(far)))).toBe("assertion_stale");
    },
  );
});

/** The order of the group that Ed25519 signatures are made in (RFC 8032 §5.1). */
const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const littleEndian = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
const toLittleEndian = (value: bigint) => Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse();

/** Points of an order of 1, 2, 4 or 8, in every spelling that fits. */
const SMALL_ORDER_POINTS = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
].map((hex) => Buffer.from(hex, "hex"));

describe("a signature", () => {
  const right = signEnvelope(agent);
  const bytes = Buffer.from(right.signature, "base64");
  const [r, s] = [bytes.subarray(0, 32), bytes.subarray(32)];
  const withSignature = (signature: string | Buffer) =>
    present({ ...right, signature: typeof signature === "string" ? signature : signature.toString("base64") });

  test.each<[string, string | Buffer]>([
    ["of zeros", Buffer.alloc(64)],
    ["of ones", Buffer.alloc(64, 0xff)],
    ["of one zero", Buffer.alloc(1)],
    ["of nothing", ""],
    ["cut", bytes.subarray(0, 63)],
    ["cut by half", r],
    ["with a zero behind", Buffer.concat([bytes, Buffer.alloc(1)])],
    ["with a zero before", Buffer.concat([Buffer.alloc(1), bytes])],
    ["twice", Buffer.concat([bytes, bytes])],
    ["with its halves swapped", Buffer.concat([s, r])],
    ["with the message behind", Buffer.concat([bytes, Buffer.from("agent-1:task-1")])],
    ["whose first half is zero", Buffer.concat([Buffer.alloc(32), s])],
    ["whose second half is zero", Buffer.concat([r, Buffer.alloc(32)])],
    ["whose sign bit is set", Buffer.concat([r.subarray(0, 31), Buffer.from([(r[31] ?? 0) ^ 0x80]), s])],
    ["negated", Buffer.concat([r, toLittleEndian(GROUP_ORDER - littleEndian(s))])],
    ["of the group's order", Buffer.concat([r, toLittleEndian(GROUP_ORDER)])],
    [
      "of an HMAC with the public key",
      hmac("sha512", agent.publicKey.export({ format: "der", type: "spki" }))(Buffer.from("x")),
    ],
    ["of Ed448", sign(null, Buffer.from("x"), generateKeyPairSync("ed448").privateKey)],
    ["in base64url", bytes.toString("base64url")],
    ["in base64 without padding", right.signature.replace(/=+$/, "")],
    ["in base64 with too much padding", `${right.signature}=`],
    ["in hexadecimal", bytes.toString("hex")],
    ["with a space", ` ${right.signature}`],
    ["with a line break", `${right.signature}\n`],
    ["with a line break within", `${right.signature.slice(0, 44)}\n${right.signature.slice(44)}`],
    ["with NUL", `${right.signature}\0`],
    ["with a character that is skipped", `${right.signature.slice(0, 8)}~${right.signature.slice(8)}`],
    ["with something after the padding", `${right.signature}AAAA`],
  ])("%s", async (_, signature) => {
    const target = await start();
    expect(await target.verdict(withSignature(signature))).toBe("assertion_invalid");
    expect(await target.verdict(withSignature(bytes))).toBe("accepted");
    expect(await target.verdict(withSignature(signature))).toBe("assertion_invalid");
  });

  test("has one spelling: neither spare bits nor multiples of the group's order", async () => {
    const target = await start();
    expect(await target.verdict(withSignature(bytes))).toBe("accepted");
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const last = alphabet.indexOf(right.signature[85] ?? "");
    for (let spare = 1; spare < 16; spare++) {
      const spelling = `${right.signature.slice(0, 85)}${alphabet[last + spare] ?? ""}==`;
      expect(Buffer.from(spelling, "base64")).toEqual(bytes);
      expect(await target.verdict(withSignature(spelling))).toBe("assertion_invalid");
    }
    for (let multiple = 1n; multiple <= 15n; multiple++) {
      const larger = toLittleEndian(littleEndian(s) + multiple * GROUP_ORDER);
      expect(await target.verdict(withSignature(Buffer.concat([r, larger])))).toBe("assertion_invalid");
    }
  });

  test("that is remembered is good for its own message and key only", async () => {
    const target = await start();
    expect(await target.verdict(present(right))).toBe("accepted");
    for (const change of [{ task_id: "task-2" }, { timestamp: timestamp(-20) }, { agent_runtime_id: "agent-2" }]) {
      expect(await target.verdict(present({ ...right, ...change }))).toBe("assertion_invalid");
    }
  });

  test("made of a point of small order is none of an agent with a key", async () => {
    const target = await start();
    for (const point of SMALL_ORDER_POINTS) {
      expect(await target.verdict(withSignature(Buffer.concat([point, Buffer.alloc(32)])))).toBe("assertion_invalid");
    }
  });
});

describe("a key of small order in the directory", () => {
  /** A signature that anybody can make, for a time close to now; there is one for nearly each key, time and point. */
  function forgeFor(key: Buffer): { agent: SigningAgent; envelope: object } | undefined {
    const weak = createAgent("weak", { publicKey: { kty: "OKP", crv: "Ed25519", x: key.toString("base64url") } });
    const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key]);
    for (let offset = 0; offset > -60; offset--) {
      const time = timestamp(offset);
      for (const point of SMALL_ORDER_POINTS) {
        const signature = Buffer.concat([point, Buffer.alloc(32)]);
        if (!verify(null, Buffer.from(`weak:task-3:${time}`), { key: spki, format: "der", type: "spki" }, signature))
          continue;
        const envelope = {
          agent_runtime_id: "weak",
          signature: signature.toString("base64"),
          task_id: "task-3",
          timestamp: time,
        };
        return { agent: weak, envelope };
      }
    }
    return undefined;
  }

  // Newer releases of Node refuse such a key by themselves: then there is nothing to forge.
  test.runIf(SMALL_ORDER_POINTS.some(forgeFor))("lets nobody in who does not have it", async () => {
    const verdicts: string[] = [];
    for (const point of SMALL_ORDER_POINTS) {
      const forged = forgeFor(point);
      if (forged === undefined) continue;
      const { agents } = await start(forged.agent);
      const request = { headers: { authorization: `AgentAssertion ${encodeEnvelope(forged.envelope)}` } };
      verdicts.push(
        await agents.authenticate(request).then(
          () => "accepted",
          () => "refused",
        ),
      );
    }
    expect(verdicts.length).toBeGreaterThan(10);
    expect(new Set(verdicts)).toEqual(new Set(["refused"]));
  });
});

describe("ChatGPT-Account-ID", () => {
  const authorization = assertion(agent);
  test.each<[string, string, Verdict]>([
    ["the agent's", "ChatGPT-Account-ID: acct-1", "accepted"],
    ["the agent's, in other case", "chatgpt-account-id: acct-1", "accepted"],
    ["another", "ChatGPT-Account-ID: acct-2", "assertion_invalid"],
    ["in other case", "ChatGPT-Account-ID: ACCT-1", "assertion_invalid"],
    ["empty", "ChatGPT-Account-ID:", "assertion_invalid"],
    ["a prefix", "ChatGPT-Account-ID: acct", "assertion_invalid"],
    ["a list", "ChatGPT-Account-ID: acct-1, acct-2", "assertion_invalid"],
    ["in quotes", 'ChatGPT-Account-ID: "acct-1"', "assertion_invalid"],
    ["with a letter behind that is no ASCII", "ChatGPT-Account-ID: acct-1\u00a0", "assertion_invalid"],
    ["two, the agent's first", "ChatGPT-Account-ID: acct-1\r\nChatGPT-Account-ID: acct-2", "assertion_invalid"],
    ["two, the agent's last", "ChatGPT-Account-ID: acct-2\r\nchatgpt-account-id: acct-1", "assertion_invalid"],
    ["two, one of them empty", "ChatGPT-Account-ID: acct-1\r\nChatGPT-Account-ID:", "assertion_invalid"],
    ["the agent's twice", "ChatGPT-Account-ID: acct-1\r\nChatGPT-Account-ID: acct-1", "assertion_invalid"],
    ["one that is folded", "ChatGPT-Account-ID: acct-1\r\n ,acct-2", "node"],
  ])("%s", async (_, line, code) => {
    const target = await start();
    const ask = () => target.judge(() => sendRaw(target.url, `Authorization: ${authorization}\r\n${line}`));
    for (let i = 0; i < 2; i++) expect(await ask()).toBe(code);
  });

  test("opens no route that is another account's", async () => {
    const target = await start();
    for (const account of ["acct-1", "acct-2"]) {
      const headers = { Authorization: authorization, "ChatGPT-Account-ID": account };
      const code = account === "acct-1" ? "workspace_not_allowed" : "assertion_invalid";
      expect(await target.verdict(headers, "/acct-2")).toBe(code);
    }
    expect(await target.verdict({ Authorization: authorization }, "/acct-2")).toBe("workspace_not_allowed");
    expect(await target.verdict({ Authorization: authorization }, "/acct-1")).toBe("accepted");
  });
});
