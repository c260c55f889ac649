/** AgentAssertions that are put together wrongly, signed by another, for another time, or with a signature of small order. */

import { generateKeyPairSync, sign, verify } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createIssuer } from "../../src/issuer.js";
import type { AgentIdentityClaims } from "../../src/protocol/claims.js";
import {
  assertion,
  createAgent,
  createDirectory,
  encodeEnvelope,
  signEnvelope,
  timestamp,
  type SigningAgent,
} from "../support/assertions.js";
import { sendRaw } from "../support/raw-request.js";
import { listen } from "../support/servers.js";
import { hmac } from "./forged-token.js";
import { agentsOf, requestVerdict, startTarget, type Verdict } from "./target.js";

const agent = createAgent("agent-1");
const other = createAgent("agent-2", { accountId: "acct-2" });

/** `task-1` is the agent's and `task-2` the other's. */
const usual = agentsOf({ directory: createDirectory(agent, other) });

const ofEncoded = (encoded: string, agents = usual): Promise<Verdict> =>
  requestVerdict(agents, { authorization: `AgentAssertion ${encoded}` });
const verdictOf = (envelope: unknown, agents = usual): Promise<Verdict> => ofEncoded(encodeEnvelope(envelope), agents);

/** Signed by the agent: whatever text it is. */
const signText = (text: string, signer = agent): string =>
  sign(null, Buffer.from(text), signer.privateKey).toString("base64");

test("one row of each kind, over HTTP", async () => {
  const target = await startTarget(undefined, { directory: createDirectory(agent, other) });
  for (const [envelope, code] of [
    [signEnvelope(agent), "accepted"],
    [{ ...signEnvelope(agent), extra: "x" }, "assertion_malformed"],
    [signEnvelope(agent, "task-1", timestamp(-1000)), "assertion_stale"],
    [signEnvelope({ ...other, id: "agent-1" }), "assertion_invalid"],
    [signEnvelope(agent, "task-2"), "task_invalid"],
  ] as const) {
    expect(await target.verdict({ Authorization: `AgentAssertion ${encodeEnvelope(envelope)}` })).toBe(code);
  }
  expect(target.given).toMatchObject([{ agentRuntimeId: "agent-1", taskId: "task-1", accountId: "acct-1" }]);
});

describe("the envelope", () => {
  const members = signEnvelope(agent);
  const { agent_runtime_id: id, signature, task_id: taskId, timestamp: time } = members;
  const json = JSON.stringify({ agent_runtime_id: id, signature, task_id: taskId, timestamp: time });
  const and = (more: string) => `${json.slice(0, -1)},${more}}`;
  const first = (more: string) => `{${more},${json.slice(1)}`;

  test.each<[string, string, Verdict]>([
    ["as it should be", json, "accepted"],
    ["in another order", JSON.stringify(Object.fromEntries(Object.entries(members).reverse())), "accepted"],
    ["with white space, which JSON allows", ` ${json}\n`, "accepted"],
    ["an agent twice, the other's last", and('"agent_runtime_id":"agent-2"'), "assertion_invalid"],
    ["an agent twice, the signer last", first('"agent_runtime_id":"agent-2"'), "accepted"],
    ["a task twice, the other's last", and('"task_id":"task-2"'), "assertion_invalid"],
    ["a task twice, the signed one last", first('"task_id":"task-2"'), "accepted"],
    ["a time twice, a stale one last", and(`"timestamp":"${timestamp(-1000)}"`), "assertion_stale"],
    ["a time twice, another one last", and(`"timestamp":"${timestamp(-10)}"`), "assertion_invalid"],
    ["a signature twice, an empty one last", and('"signature":""'), "assertion_invalid"],
    ["a name in escapes, which is the same name", and('"\\u0074ask_id":"task-2"'), "assertion_invalid"],
  ])("%s", async (_, text, code) => {
    expect(await verdictOf(text)).toBe(code);
  });

  test("is malformed with a member more, or in any other form", async () => {
    const more = [
      ...['"Task_id":"task-2"', '"account_id":"acct-2"', '"alg":"none"', '"public_key":"AAAA"', '"__proto__":null'],
      ...['"__proto__":{"account_id":"acct-2"}', '"constructor":"x"', '"":"x"'],
    ];
    const inherited = `"__proto__":{"task_id":"task-1"},"agent_runtime_id":"agent-1","signature":"","timestamp":"${time}"`;
    for (const text of [
      ...more.map(and),
      ...[`{"__proto__":${json}}`, `{${inherited}}`, `[${json}]`, JSON.stringify(json), json + json, `${json}x`],
      ...[`${json}\0`, `\ufeff${json}`, json.replace('"agent-1"', '["agent-1"]'), json.replace('"agent-1"', "1")],
      ...["null", "[$1]", "7"].map((value) => json.replace(/(?<="signature":)("[^"]*")/, value)),
      ...[json.replace(/(?<="timestamp":)"[^"]*"/, "0"), `${json}${" ".repeat(3_000)}`, "{}"],
    ]) {
      expect(await verdictOf(text), text).toBe("assertion_malformed");
    }
  });

  test("is malformed without one of its members, also where one that is undefined would be found", async () => {
    const directory = createDirectory(agent);
    directory.agents.set("undefined", agent.entry);
    directory.tasks.set("undefined", { agentRuntimeId: "agent-1", expiresAt: 4_000_000_000 });
    const agents = agentsOf({ directory });
    for (const name of Object.keys(members)) {
      expect(await verdictOf({ ...members, [name]: undefined }, agents)).toBe("assertion_malformed");
    }
    const signed = signText(`agent-1:undefined:${time}`);
    expect(await verdictOf({ ...members, signature: signed, task_id: undefined }, agents)).toBe("assertion_malformed");
  });

  test("is malformed where it is not UTF-8", async () => {
    const [before = "", after = ""] = json.split("agent-1");
    for (const bytes of ["80", "c0af", "eda080", "eda0bdedb880", "f4908080", "ff"]) {
      const envelope = Buffer.concat([Buffer.from(before), Buffer.from(bytes, "hex"), Buffer.from(after)]);
      expect(await ofEncoded(envelope.toString("base64url"))).toBe("assertion_malformed");
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
    expect(await ofEncoded(edit(encodeEnvelope(json)))).toBe(code);
  });

  test("has one spelling: no spare bit may be set", async () => {
    const encoded = encodeEnvelope(json + " ".repeat((4 - (json.length % 3)) % 3)); // so that it ends in spare bits
    expect(encoded.length % 4).toBe(2);
    expect(await ofEncoded(encoded)).toBe("accepted");
    const spare = encoded.slice(0, -1) + String.fromCharCode(encoded.charCodeAt(encoded.length - 1) + 1);
    expect(Buffer.from(spare, "base64url")).toEqual(Buffer.from(encoded, "base64url"));
    expect(await ofEncoded(spare)).toBe("assertion_malformed");
  });
});

describe("who has signed, and what", () => {
  const time = timestamp();
  const signed = (text: string, signer = agent) => ({
    ...signEnvelope(agent),
    signature: signText(text, signer),
    timestamp: time,
  });

  test.each<[string, unknown, Verdict?]>([
    ["another agent, for this one's task", signed(`agent-1:task-1:${time}`, other)],
    ["another agent, as itself, for this one's task", signEnvelope(other, "task-1"), "task_invalid"],
    ["this agent, for the other's task", signEnvelope(agent, "task-2"), "task_invalid"],
    ["this agent, in the other's name", signEnvelope({ ...agent, id: "agent-2" }, "task-2")],
    ["an agent that nobody knows", signEnvelope(createAgent("agent-3"), "task-1")],
    ["the two ids swapped", { ...signEnvelope({ ...agent, id: "task-1" }, "agent-1") }],
    ["the two ids swapped in what is signed", signed(`task-1:agent-1:${time}`)],
    ["without the task", signed(`agent-1:${time}`)],
    ["without the time", signed("agent-1:task-1")],
    ["nothing", signed("")],
    ["with another separator", signed(`agent-1|task-1|${time}`)],
    ["with a line break behind", signed(`agent-1:task-1:${time}\n`)],
    ["the JSON of it", signed(JSON.stringify({ agent_runtime_id: "agent-1", task_id: "task-1", timestamp: time }))],
    ["the digest of it", signed(hmac("sha256", "")(Buffer.from(`agent-1:task-1:${time}`)).toString("latin1"))],
  ])("%s", async (_, envelope, code = "assertion_invalid") => {
    expect(await verdictOf(envelope)).toBe(code);
  });

  test("one text that could be cut in two ways is cut in none", async () => {
    // All of them sign a:b:c:TIME.
    const [long, short] = [createAgent("a:b"), createAgent("a")];
    const directory = createDirectory(long, short);
    directory.tasks.set("c", { agentRuntimeId: "a:b", expiresAt: 4_000_000_000 });
    directory.tasks.set("b:c", { agentRuntimeId: "a", expiresAt: 4_000_000_000 });
    const agents = agentsOf({ directory });
    expect(await verdictOf(signEnvelope(long, "c"), agents)).toBe("assertion_malformed");
    expect(await verdictOf(signEnvelope(short, "b:c"), agents)).toBe("assertion_malformed");
    expect(await verdictOf(signEnvelope(short, "b%3Ac"), agents)).toBe("assertion_malformed");
    expect(directory.asked).toEqual([]);
    expect(await verdictOf(signEnvelope(short, "b\uff1ac"), agents)).toBe("task_invalid");
  });

  test("names of Object.prototype are ids like others", async () => {
    const odd = createAgent("__proto__");
    const agents = agentsOf({ directory: createDirectory(odd) });
    expect(await verdictOf(signEnvelope(odd), agents)).toBe("accepted");
    for (const id of ["constructor", "toString", "hasOwnProperty"]) {
      expect(await verdictOf(signEnvelope({ ...odd, id }), agents)).toBe("assertion_invalid");
      expect(await verdictOf(signEnvelope(odd, id), agents)).toBe("task_invalid");
    }
  });

  test("a registration and an assertion are not taken for each other", async () => {
    const issuer = await createIssuer();
    const { token, agentRuntimeId: id } = await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1" });
    const payload = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
    const { agent_private_key: key } = JSON.parse(payload) as AgentIdentityClaims;
    const privateKey = { key: Buffer.from(key, "base64"), format: "der", type: "pkcs8" } as const;
    const signWithKey = (text: string) => sign(null, Buffer.from(text), privateKey).toString("base64");
    const { url } = await listen(issuer.router());
    const register = async (asId: string, signature: string) => {
      const headers = { "Content-Type": "application/json" };
      const body = JSON.stringify({ timestamp: time, signature });
      const answer = await fetch(`${url}/v1/agent/${asId}/task/register`, { method: "POST", headers, body });
      return (await answer.json()) as { task_id?: string };
    };
    const registration = signWithKey(`${id}:${time}`);
    const { task_id: taskId = "" } = await register(id, registration);
    const agents = agentsOf({ directory: issuer.directory });
    const signature = signWithKey(`${id}:${taskId}:${time}`);
    const envelope = { agent_runtime_id: id, signature, task_id: taskId, timestamp: time };
    expect(await verdictOf(envelope, agents)).toBe("accepted");

    expect(await verdictOf({ ...envelope, signature: registration }, agents)).toBe("assertion_invalid");
    const withoutTask = { ...envelope, signature: registration, task_id: "" };
    expect(await verdictOf(withoutTask, agents)).toBe("assertion_malformed");
    expect(await register(id, signature)).toMatchObject({ error: { code: "assertion_invalid" } });
    for (const asId of [`${id}:${taskId}`, `${id}%3A${taskId}`]) {
      expect(await register(asId, signature)).toMatchObject({ error: { code: "assertion_malformed" } });
    }
  });
});

describe("a time", () => {
  const time = timestamp();
  const [date = "", clock = ""] = time.slice(0, -1).split("T");
  const DAY = 86_400;

  test("within five minutes is accepted, and stale without", async () => {
    for (const offset of [-290, 290])
      expect(await verdictOf(signEnvelope(agent, "task-1", timestamp(offset)))).toBe("accepted");
    const far = ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"];
    for (const each of [...[-310, 310, -DAY, DAY, -20_000 * DAY, 20_000 * DAY].map(timestamp), ...far]) {
      expect(await verdictOf(signEnvelope(agent, "task-1", each)), each).toBe("assertion_stale");
    }
  });

  test("is the one that is signed", async () => {
    const envelope = { ...signEnvelope(agent, "task-1", timestamp(-1000)), timestamp: time };
    expect(await verdictOf(envelope)).toBe("assertion_invalid");
  });

  const otherDigits = (zero: number) => time.replace(/\d/g, (digit) => String.fromCodePoint(zero + Number(digit)));
  test.each([
    ...["", " ", "now", "0", "NaN", "Infinity", String(Math.floor(Date.now() / 1000)), String(Date.now())],
    ...["", "z", ".000Z", ".Z", ",0Z", "+00:00", "-00:00", "+00:00Z", "UTC", " Z", "Z\n", "Z\0", "Z "].map(
      (end) => `${date}T${clock}${end}`,
    ),
    ...[`${date}t${clock}Z`, `${date} ${clock}Z`, `${date}T${clock.slice(0, 5)}Z`, `\n${time}`, ` ${time}`],
    ...[`${date}T${clock.replaceAll(":", "")}Z`, `${date.replaceAll("-", "")}T${clock}Z`, `${time};${time}`],
    ...[`+00${time}`, `-00${time}`, time.slice(2), "10000-01-01T00:00:00Z", "+275760-09-13T00:00:01Z", "__proto__"],
    ...["24:00:00", "23:59:60", "23:60:00", "-1:00:00"].map((hours) => `${date}T${hours}Z`),
    ...["2026-02-29", "2026-02-31", "2026-13-01", "2026-00-01", "2026-01-00", "2026-W01-1", "2026-001"].map(
      (day) => `${day}T00:00:00Z`,
    ),
    ...[otherDigits(0xff10), otherDigits(0x660), time.replaceAll("-", "\u2010"), time.replaceAll(":", "\uff1a")],
    ...[time.replace("T", "\u0422"), "Mon, 01 Jan 2026 00:00:00 GMT"],
  ])("is not written %j", async (spelling) => {
    expect(await verdictOf(signEnvelope(agent, "task-1", spelling))).toBe("assertion_malformed");
  });
});

/** The order of the group that Ed25519 signatures are made in (RFC 8032 §5.1). */
const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const littleEndian = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
const toLittleEndian = (value: bigint) => Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse();

const full = (start: string, end: string) => start.padEnd(62, start.startsWith("e") ? "f" : "0") + end;
/** Points of an order of 1, 2, 4 or 8, in every spelling that fits. */
const SMALL_ORDER_POINTS = [
  ...["01", "00"].flatMap((start) => [full(start, "00"), full(start, "80")]),
  ...["ec", "ed", "ee"].flatMap((start) => [full(start, "7f"), full(start, "ff")]),
  ...["05", "85"].map((end) => `26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc${end}`),
  ...["7a", "fa"].map((end) => `c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03${end}`),
].map((hex) => Buffer.from(hex, "hex"));

describe("a signature", () => {
  const right = signEnvelope(agent);
  const bytes = Buffer.from(right.signature, "base64");
  const [r, s] = [bytes.subarray(0, 32), bytes.subarray(32)];
  const withSignature = (signature: string | Buffer) =>
    verdictOf({ ...right, signature: typeof signature === "string" ? signature : signature.toString("base64") });

  test("that is remembered is good for its own bytes, message and key only", async () => {
    const publicKey = agent.publicKey.export({ format: "der", type: "spki" });
    for (const signature of [
      ...[Buffer.alloc(64), Buffer.alloc(64, 0xff), Buffer.alloc(1), "", bytes.subarray(0, 63), r],
      ...[
        [bytes, Buffer.alloc(1)],
        [Buffer.alloc(1), bytes],
        [bytes, bytes],
        [s, r],
        [bytes, Buffer.from("agent-1")],
      ].map((parts) => Buffer.concat(parts)),
      ...[Buffer.concat([Buffer.alloc(32), s]), Buffer.concat([r, Buffer.alloc(32)])],
      Buffer.concat([r.subarray(0, 31), Buffer.from([(r[31] ?? 0) ^ 0x80]), s]),
      Buffer.concat([r, toLittleEndian(GROUP_ORDER - littleEndian(s))]), // negated
      Buffer.concat([r, toLittleEndian(GROUP_ORDER)]),
      hmac("sha512", publicKey)(Buffer.from("x")),
      sign(null, Buffer.from("x"), generateKeyPairSync("ed448").privateKey),
      // Other spellings.
      ...[
        bytes.toString("base64url"),
        right.signature.replace(/=+$/, ""),
        `${right.signature}=`,
        bytes.toString("hex"),
      ],
      ...[` ${right.signature}`, `${right.signature}\n`, `${right.signature}\0`, `${right.signature}AAAA`],
      ...["\n", "~"].map((each) => right.signature.slice(0, 44) + each + right.signature.slice(44)),
      // Of small order.
      ...SMALL_ORDER_POINTS.map((point) => Buffer.concat([point, Buffer.alloc(32)])),
    ]) {
      expect(await withSignature(bytes)).toBe("accepted");
      expect(await withSignature(signature), signature.toString("latin1")).toBe("assertion_invalid");
    }
    for (const change of [{ task_id: "task-2" }, { timestamp: timestamp(-20) }, { agent_runtime_id: "agent-2" }]) {
      expect(await verdictOf({ ...right, ...change })).toBe("assertion_invalid");
    }
  });

  test("has one spelling: neither spare bits nor multiples of the group's order", async () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const last = alphabet.indexOf(right.signature[85] ?? "");
    for (let i = 1; i < 16; i++) {
      const spelling = `${right.signature.slice(0, 85)}${alphabet[last + i] ?? ""}==`;
      expect(Buffer.from(spelling, "base64")).toEqual(bytes);
      expect(await withSignature(spelling)).toBe("assertion_invalid");
      const larger = toLittleEndian(littleEndian(s) + BigInt(i) * GROUP_ORDER);
      expect(await withSignature(Buffer.concat([r, larger]))).toBe("assertion_invalid");
    }
  });
});

/** With a key of small order: a signature that anybody can make, for a time close to now. */
function forgeFor(key: Buffer): { agent: SigningAgent; envelope: object } | undefined {
  const weak = createAgent("weak", { publicKey: { kty: "OKP", crv: "Ed25519", x: key.toString("base64url") } });
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key]);
  for (let offset = 0; offset > -60; offset--) {
    const time = timestamp(offset);
    for (const point of SMALL_ORDER_POINTS) {
      const signature = Buffer.concat([point, Buffer.alloc(32)]);
      const publicKey = { key: spki, format: "der", type: "spki" } as const;
      if (!verify(null, Buffer.from(`weak:task-1:${time}`), publicKey, signature)) continue;
      return {
        agent: weak,
        envelope: { ...signEnvelope(weak, "task-1", time), signature: signature.toString("base64") },
      };
    }
  }
  return undefined;
}

// Newer releases of Node refuse such a key by themselves: then there is nothing to forge.
const forgeries = SMALL_ORDER_POINTS.flatMap((point) => forgeFor(point) ?? []);
test.runIf(forgeries.length > 0)("a key of small order in the directory lets nobody in", async () => {
  expect(forgeries.length).toBeGreaterThan(10);
  for (const { agent, envelope } of forgeries) {
    const agents = agentsOf({ directory: createDirectory(agent) });
    expect(await verdictOf(envelope, agents)).toBe("directory_unavailable");
  }
});

test("ChatGPT-Account-ID has to be the agent's, and there may be only one", async () => {
  const target = await startTarget(undefined, { directory: createDirectory(agent, other) });
  const authorization = assertion(agent);
  for (const [lines, code] of [
    ["ChatGPT-Account-ID: acct-1", "accepted"],
    ["chatgpt-account-id: acct-1", "accepted"],
    ["X: ChatGPT-Account-ID: acct-2", "accepted"],
    ...["acct-2", "ACCT-1", "", "acct", "acct-1, acct-2", '"acct-1"', "acct-1\u00a0"].map(
      (value) => [`ChatGPT-Account-ID: ${value}`, "assertion_invalid"] as const,
    ),
    ...["acct-1|acct-2", "acct-2|acct-1", "acct-1|", "acct-1|acct-1"].map(
      (values) =>
        [`ChatGPT-Account-ID: ${values.replace("|", "\r\nchatgpt-account-id: ")}`, "assertion_invalid"] as const,
    ),
    ["ChatGPT-Account-ID: acct-1\r\n ,acct-2", "node"],
  ] as const) {
    const ask = () => target.judge(() => sendRaw(target.url, `Authorization: ${authorization}\r\n${lines}`));
    for (let i = 0; i < 2; i++) expect(await ask(), lines).toBe(code);
  }
  // It opens no route that is another account's.
  const withAccount = { Authorization: authorization, "ChatGPT-Account-ID": "acct-2" };
  expect(await target.verdict(withAccount, "/acct-2")).toBe("assertion_invalid");
  expect(await target.verdict({ Authorization: authorization }, "/acct-2")).toBe("workspace_not_allowed");
  expect(await target.verdict({ Authorization: authorization }, "/acct-1")).toBe("accepted");
});
