/** Other spellings of a good token: a decoder that overlooks one of them would accept several strings as one token. */

import { createPublicKey } from "node:crypto";
import { CompactEncrypt } from "jose";
import { describe, expect, test } from "vitest";
import { claims, mint, signingKey } from "../support/agents.js";
import { sendRaw } from "../support/raw-request.js";
import { bearer } from "../support/request-table.js";
import { base64url, forge, join } from "./forged-token.js";
import { startTarget, verdictOf, type Verdict } from "./target.js";

const HEADER = '{"alg":"RS256","kid":"key-1"}';
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** JSON of such a length that its base64url ends in so many spare bits. */
function withSpareBits(json: string, bits: 2 | 4): string {
  const remainder = { 2: 2, 4: 1 }[bits];
  return json + " ".repeat((3 + remainder - (Buffer.byteLength(json) % 3)) % 3);
}

/** Every other spelling of the last character, which decodes to the same bytes. */
function otherSpellings(part: string): string[] {
  const bits = { 0: 0, 2: 4, 3: 2 }[part.length % 4] ?? 0;
  const last = ALPHABET.indexOf(part.slice(-1));
  return Array.from({ length: 2 ** bits - 1 }, (_, i) => part.slice(0, -1) + (ALPHABET[last + i + 1] ?? ""));
}

const padded = (part: string): string => part + "=".repeat((4 - (part.length % 4)) % 4);
const middle = (text: string, inserted: string): string => text.slice(0, 20) + inserted + text.slice(20);

/** A token whose parts all end in spare bits. */
const good = join(base64url(withSpareBits(HEADER, 4)), base64url(withSpareBits(JSON.stringify(claims()), 4)));
const [header = "", payload = "", signature = ""] = good.split(".");

/** What decoders are known to overlook, done to a part; with what Node or the header's grammar says of it. */
const EDITS: [name: string, edit: (part: string) => string, overHttp: Verdict][] = [
  ["padding", padded, "request_malformed"],
  ["padding, percent-encoded", (part) => padded(part).replaceAll("=", "%3D"), "request_malformed"],
  ["one = too many", (part) => `${part}=`, "request_malformed"],
  ["+ for -", (part) => `${part.slice(0, -4)}+${part.slice(-3)}`, "token_malformed"],
  ["/ for _", (part) => `${part.slice(0, -4)}/${part.slice(-3)}`, "token_malformed"],
  ["quotes", (part) => `"${part}"`, "request_malformed"],
  ["a comma", (part) => `${part},`, "request_malformed"],
  ["the first character percent-encoded", (part) => `%65${part.slice(1)}`, "request_malformed"],
  ["NUL after", (part) => `${part}\0`, "node"],
  ["a full-width stop", (part) => `${part}\uff0e`, "request_malformed"],
  ["a second dot", (part) => `${part}.`, "token_malformed"],
  ["no characters", () => "", "token_malformed"],
  ...["\n", "\r", "\r\n", "\r\n ", "\0", "\v", "\x7f"].map((each): (typeof EDITS)[0] => [
    `${JSON.stringify(each)} in the middle`,
    (part) => middle(part, each),
    "node",
  ]),
  ...Array.from("= \t\u00a0\u00ad\u200b\ufeff\uff21\u0435😀\\", (each): (typeof EDITS)[0] => [
    `${JSON.stringify(each)} in the middle`,
    (part) => middle(part, each),
    "request_malformed",
  ]),
  ...["~", ".", "\\101"].map((each): (typeof EDITS)[0] => [
    `${each} in the middle`,
    (part) => middle(part, each),
    each === "\\101" ? "request_malformed" : "token_malformed",
  ]),
];

describe("a part that is edited, in the header, in the payload and in the signature, and signed so", () => {
  test.each(EDITS)("%s", async (_, edit) => {
    for (const token of [
      `${edit(header)}.${payload}.${signature}`,
      `${header}.${edit(payload)}.${signature}`,
      `${header}.${payload}.${edit(signature)}`,
      join(edit(header), payload),
      join(header, edit(payload)),
    ]) {
      expect(await verdictOf(token), token).toBe("token_malformed");
    }
  });

  test("whole characters too many or too few", async () => {
    for (const more of ["A", "AA"]) {
      expect(await verdictOf(`${header}${more}.${payload}.${signature}`)).toBe("token_malformed");
      expect(await verdictOf(join(header, payload + more))).toBe("token_malformed");
      expect(await verdictOf(good + more)).toBe("signature_invalid");
    }
    expect(await verdictOf(join(header.slice(1), payload))).toBe("token_malformed");
    expect(await verdictOf(good)).toBe("accepted");
  });

  test("over HTTP: Node or the grammar of the header condemns most of them before they are decoded", async () => {
    const target = await startTarget();
    for (const [name, edit, code] of EDITS) {
      // In UTF-8, as clients send it.
      const line = Buffer.from(`Authorization: Bearer ${join(header, edit(payload))}`).toString("latin1");
      expect(await target.judge(() => sendRaw(target.url, line)), name).toBe(code);
    }
    expect(await target.verdict(bearer(mint()))).toBe("accepted");
  });

  test("white space is HTTP's before and after a value, and nobody's within one", async () => {
    const target = await startTarget();
    const ask = (value: string) => target.judge(() => sendRaw(target.url, `Authorization:${value}`));
    for (const value of [` \t Bearer ${good}`, ` Bearer   ${good}`, `Bearer ${good} \t `]) {
      expect(await ask(value)).toBe("accepted");
    }
    for (const each of [` ${good}`, `${good} `, `\t${good}`, `${good}\n`]) {
      expect(await verdictOf(each)).toBe("token_malformed");
    }
  });
});

test.each<[string, string[], (spelling: string) => string]>([
  ["header, two", otherSpellings(base64url(withSpareBits(HEADER, 2))), (spelling) => join(spelling, payload)],
  ["header, four", otherSpellings(header), (spelling) => join(spelling, payload)],
  [
    "payload, two",
    otherSpellings(base64url(withSpareBits(JSON.stringify(claims()), 2))),
    (spelling) => join(header, spelling),
  ],
  ["payload, four", otherSpellings(payload), (spelling) => join(header, spelling)],
  ["signature, four", otherSpellings(signature), (spelling) => `${header}.${payload}.${spelling}`],
])("spare bits that are set, in the %s: malformed; the canonical spelling is accepted", async (_, spellings, token) => {
  expect([3, 15]).toContain(spellings.length);
  for (const spelling of spellings) expect(await verdictOf(token(spelling))).toBe("token_malformed");
  const canonical = base64url(Buffer.from(spellings[0] ?? "", "base64url"));
  expect(spellings).not.toContain(canonical);
  expect(await verdictOf(token(canonical))).toBe("accepted");
});

const bytes = Buffer.from(signature, "base64url");
const zero = Buffer.alloc(1);
test.each<[string, string, Verdict]>([
  ["no parts", "", "token_malformed"],
  ["one", header, "token_malformed"],
  ["two", `${header}.${payload}`, "token_malformed"],
  ["two and a dot", `${header}.${payload}.`, "token_malformed"],
  ["four", `${good}.${signature}`, "token_malformed"],
  ["four, the last one empty", `${good}.`, "token_malformed"],
  ["four, the first one empty", `.${good}`, "token_malformed"],
  ["five, as of a JWE", `${good}.${payload}.${signature}`, "token_malformed"],
  ["dots", "..", "token_malformed"],
  ["sixteen thousand dots", ".".repeat(16_000), "token_malformed"],
  ["very many dots behind", good + ".".repeat(14_000), "token_malformed"],
  ["in another order", `${payload}.${header}.${signature}`, "algorithm_not_allowed"],
  ["the same three times", `${header}.${header}.${header}`, "issuer_invalid"],
  ["joined with ~, as an SD-JWT", `${good}~`, "token_malformed"],
  ["a header in lower case", `${header.toLowerCase()}.${payload}.${signature}`, "token_malformed"],
  ["a signature in hexadecimal", `${header}.${payload}.${bytes.toString("hex")}`, "signature_invalid"],
  ["a signature of one byte", `${header}.${payload}.${base64url(zero)}`, "signature_invalid"],
  ["a signature of 255 bytes", `${header}.${payload}.${base64url(bytes.subarray(1))}`, "signature_invalid"],
  ["a zero before it", `${header}.${payload}.${base64url(Buffer.concat([zero, bytes]))}`, "signature_invalid"],
  ["a zero after it", `${header}.${payload}.${base64url(Buffer.concat([bytes, zero]))}`, "signature_invalid"],
  ["a signature twice", `${header}.${payload}.${base64url(Buffer.concat([bytes, bytes]))}`, "signature_invalid"],
])("parts: %s", async (_, token, code) => {
  expect(await verdictOf(token)).toBe(code);
});

test("other serializations of the same token are none", async () => {
  const flattened = { protected: header, payload, signature };
  const serializations = [
    JSON.stringify(flattened),
    JSON.stringify({ payload, signatures: [{ protected: header, signature }] }),
    JSON.stringify({
      payload,
      signatures: [
        { protected: base64url('{"alg":"none"}'), signature: "" },
        { protected: header, signature },
      ],
    }),
    JSON.stringify({ ...flattened, header: { alg: "none" } }),
    // JSON that splits at its dots into the parts of a compact token (CVE-2022-39227).
    `{"x":"${good}","protected":"${header}","payload":"${payload}","signature":"${signature}"}`,
    `{"  ${header}.":1,"protected":"${header}","payload":"${payload}","signature":".${signature}"}`,
    JSON.stringify(good),
    JSON.stringify([header, payload, signature]),
  ];
  for (const token of serializations) {
    for (const each of [token, base64url(token), `${base64url(token)}.${payload}.${signature}`]) {
      expect(await verdictOf(each)).toMatch(/^(token_malformed|algorithm_not_allowed)$/);
    }
  }
  for (const nested of [good, JSON.stringify(good), JSON.stringify([good])]) {
    const token = forge({ alg: "RS256", kid: "key-1", cty: "JWT" }, nested);
    expect(await verdictOf(token)).toBe("token_malformed");
  }
});

test("a token that is encrypted to the backend's public key, which everybody has", async () => {
  const jwe = await new CompactEncrypt(Buffer.from(`${base64url('{"alg":"none"}')}.${payload}.`))
    .setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM", kid: "key-1", cty: "JWT" })
    .encrypt(createPublicKey(signingKey.privateKey));
  const [, ...others] = jwe.split(".");
  // As it is, compressed, or with two thousand million rounds of PBKDF2 to come.
  const costly = { alg: "PBES2-HS256+A128KW", enc: "A256GCM", p2c: 2_147_483_647, p2s: "AAAAAAAAAAA" };
  for (const members of [{ alg: "RSA-OAEP-256", enc: "A256GCM", zip: "DEF" }, costly]) {
    const jweHeader = base64url(JSON.stringify(members));
    expect(await verdictOf([jweHeader, ...others].join("."))).toBe("token_malformed");
    expect(await verdictOf(`${jweHeader}.${payload}.${others[3] ?? ""}`)).toBe("algorithm_not_allowed");
  }
  expect(await verdictOf(jwe)).toBe("token_malformed");
});

const json = JSON.stringify(claims());

describe("JSON that is not JSON in UTF-8, signed by the backend", () => {
  // Continuation bytes, overlong forms, surrogates, beyond U+10FFFF, five bytes, cut off, Latin-1, no bytes of UTF-8.
  const NOT_UTF8 = "80 bfbf c0af c080 e080af f08080af eda080 eda0bdedb880 f4908080 f888808080 e282 e9 feff";
  test.each(NOT_UTF8.split(" "))("the bytes %s in a string", async (hex) => {
    const splice = (text: string) => {
      const [before = "", after = ""] = text.split("|");
      return Buffer.concat([Buffer.from(before), Buffer.from(hex, "hex"), Buffer.from(after)]);
    };
    for (const member of ["account_id", "email", "never_read"]) {
      const token = forge(HEADER, splice(JSON.stringify(claims({ [member]: "agent|" }))));
      expect(await verdictOf(token), member).toBe("token_malformed");
    }
    const inHeader = splice('{"alg":"RS256","kid":"key-1","x":"|"}');
    expect(await verdictOf(forge(inHeader, json))).toBe("token_malformed");
  });

  test.each<[string, string | Buffer]>([
    ["a byte-order mark", `\ufeff${json}`],
    ["UTF-16, little-endian", Buffer.from(json, "utf16le")],
    ["UTF-16, little-endian, with its mark", Buffer.from(`\ufeff${json}`, "utf16le")],
    ["UTF-16, big-endian", Buffer.from(json, "utf16le").swap16()],
    ["UTF-16, big-endian, with its mark", Buffer.from(`\ufeff${json}`, "utf16le").swap16()],
    ["UTF-7", json.replaceAll('"', "+ACI-")],
    ["NUL before", `\0${json}`],
    ["NUL after", `${json}\0`],
    ["two values", `${json}${json}`],
    ["a comment", `/**/${json}`],
    ["a comma too many", json.replace(/}$/, ",}")],
    ["single quotes", json.replaceAll('"', "'")],
    ["a vertical tab for white space", `\v${json}`],
    ["a control character in a string", json.replace("agent-1", "agent\u0001")],
    ["NaN", json.replace(/"iat":\d+/, '"iat":NaN')],
    ["a number in hexadecimal", json.replace(/"iat":\d+/, '"iat":0x10')],
    ["a number with a leading zero", json.replace(/"iat":/, '"iat":0')],
    ["no JSON at all", "claims"],
    ["nothing but white space", "   "],
    ...["1", '"claims"', "true", "null", `[${json}]`].map((text): [string, string] => [text, text]),
  ])("%.40s", async (_, text) => {
    expect(await verdictOf(forge(HEADER, text))).toBe("token_malformed");
    expect(await verdictOf(forge(text, json))).toBe("token_malformed");
  });
});
