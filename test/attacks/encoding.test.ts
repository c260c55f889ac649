import { createPublicKey } from "node:crypto";
import { CompactEncrypt } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { claims, mint, signingKey } from "../support/agents.js";
import { base64url, forge, join } from "./forged-token.js";
import { sendRaw } from "./raw-request.js";
import { bearer, startTarget, type Verdict } from "./target.js";

const HEADER = '{"alg":"RS256","kid":"key-1"}';
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** JSON that is so long that its base64url ends in so many spare bits: 0, 2 or 4. */
function withSpareBits(json: string, bits: 0 | 2 | 4): string {
  const remainder = { 0: 0, 2: 2, 4: 1 }[bits];
  return json + " ".repeat((3 + remainder - (Buffer.byteLength(json) % 3)) % 3);
}

/** Every other spelling of the last character, which decodes to the same bytes. */
function otherSpellings(part: string): string[] {
  const bits = { 0: 0, 2: 4, 3: 2 }[part.length % 4] ?? 0;
  const last = ALPHABET.indexOf(part.slice(-1));
  return Array.from({ length: 2 ** bits - 1 }, (_, i) => part.slice(0, -1) + (ALPHABET[last + i + 1] ?? ""));
}

const padded = (part: string): string => part + "=".repeat((4 - (part.length % 4)) % 4);
const middle = (text: string, inserted: string): string => {
  const at = text.length >> 1;
  return text.slice(0, at) + inserted + text.slice(at);
};

/** A token whose parts all end in spare bits. */
const [header = "", payload = "", signature = ""] = join(
  base64url(withSpareBits(HEADER, 4)),
  base64url(withSpareBits(JSON.stringify(claims()), 4)),
).split(".");

/** What is done to a part, and what comes of it; `inSignature` where that is something else for the last part. */
type Edit = [name: string, edit: (part: string) => string, code: Verdict, inSignature?: Verdict];

/** What decoders are known to overlook. */
const EDITS: Edit[] = [
  ["padding", padded, "request_malformed", "token_malformed"],
  ["padding, percent-encoded", (part) => padded(part).replaceAll("=", "%3D"), "request_malformed"],
  ["one = too many", (part) => `${part}=`, "request_malformed", "token_malformed"],
  ["one character too many", (part) => `${part}A`, "token_malformed", "signature_invalid"],
  ["two characters too many", (part) => `${part}AA`, "token_malformed", "signature_invalid"],
  ["+ for -", (part) => `${part.slice(0, -4)}+${part.slice(-3)}`, "token_malformed"],
  ["/ for _", (part) => `${part.slice(0, -4)}/${part.slice(-3)}`, "token_malformed"],
  ["~ in the middle", (part) => middle(part, "~"), "token_malformed"],
  ["= in the middle", (part) => middle(part, "="), "request_malformed"],
  ["a space in the middle", (part) => middle(part, " "), "request_malformed"],
  ["a tab in the middle", (part) => middle(part, "\t"), "request_malformed"],
  ["a line break in the middle", (part) => middle(part, "\n"), "node"],
  ["CR in the middle", (part) => middle(part, "\r"), "node"],
  ["CRLF in the middle", (part) => middle(part, "\r\n"), "node"],
  ["a folded line (obs-fold)", (part) => middle(part, "\r\n "), "node"],
  ["NUL in the middle", (part) => middle(part, "\0"), "node"],
  ["NUL after", (part) => `${part}\0`, "node"],
  ["a vertical tab", (part) => middle(part, "\v"), "node"],
  ["DEL", (part) => middle(part, "\x7f"), "node"],
  ["the first character percent-encoded", (part) => `%65${part.slice(1)}`, "request_malformed"],
  ["a non-breaking space", (part) => middle(part, "\u00a0"), "request_malformed"],
  ["a soft hyphen", (part) => middle(part, "\u00ad"), "request_malformed"],
  ["a zero-width space", (part) => middle(part, "\u200b"), "request_malformed"],
  ["a byte-order mark", (part) => `\ufeff${part}`, "request_malformed"],
  ["a full-width letter", (part) => middle(part, "\uff21"), "request_malformed"],
  ["a full-width stop", (part) => `${part}\uff0e`, "request_malformed"],
  ["a Cyrillic letter", (part) => middle(part, "\u0435"), "request_malformed"],
  ["an emoji", (part) => middle(part, "\u{1f600}"), "request_malformed"],
  ["quotes", (part) => `"${part}"`, "request_malformed"],
  ["a comma", (part) => `${part},`, "request_malformed"],
  ["a backslash", (part) => middle(part, "\\"), "request_malformed"],
  ["a backslash and a number", (part) => middle(part, "\\101"), "request_malformed"],
  ["a second dot", (part) => `${part}.`, "token_malformed"],
  ["a dot in the middle", (part) => middle(part, "."), "token_malformed"],
  ["no characters", () => "", "token_malformed"],
  ["the first character missing", (part) => part.slice(1), "token_malformed"],
];

test("the token that is edited is a good one, and each part has spare bits", async () => {
  const target = await startTarget();
  expect(await target.verdict(bearer(`${header}.${payload}.${signature}`))).toBe("accepted");
  expect([header, payload, signature].map((part) => part.length % 4)).toEqual([2, 2, 2]);
});

describe("a part that is edited, in the header, in the payload and in the signature, and signed so", () => {
  test.each(EDITS)("%s", async (_, edit, code, inSignature = code) => {
    const target = await startTarget();
    const tokens: [token: string, code: Verdict][] = [
      [`${edit(header)}.${payload}.${signature}`, code],
      [`${header}.${edit(payload)}.${signature}`, code],
      [`${header}.${payload}.${edit(signature)}`, inSignature],
      [join(edit(header), payload), code],
      [join(header, edit(payload)), code],
    ];
    for (const [token, expected] of tokens) {
      // In UTF-8, as clients would send it.
      const bytes = Buffer.from(`Authorization: Bearer ${token}`).toString("latin1");
      expect(await target.judge(() => sendRaw(target.url, bytes)), token).toBe(expected);
      const inProcess = expected === "signature_invalid" ? expected : "token_malformed";
      await expect(target.agents.verifier.verify(token)).rejects.toMatchObject({ code: inProcess });
    }
    expect(await target.verdict(bearer(mint()))).toBe("accepted");
  });

  test("white space, which is HTTP's before and after a value and nobody's within one", async () => {
    const target = await startTarget();
    const ask = (value: string) => target.judge(() => sendRaw(target.url, `Authorization:${value}`));
    const token = `${header}.${payload}.${signature}`;
    for (const value of [` \t Bearer ${token}`, ` Bearer   ${token}`, `Bearer ${token} \t `]) {
      expect(await ask(value)).toBe("accepted");
    }
    for (const value of token.split(".").map((part) => token.replace(part, middle(part, " ")))) {
      expect(await ask(` Bearer ${value}`)).toBe("request_malformed");
    }
    for (const padded of [` ${token}`, `${token} `, `\t${token}`, `${token}\n`]) {
      await expect(target.agents.verifier.verify(padded)).rejects.toMatchObject({ code: "token_malformed" });
    }
  });
});

describe("a spare bit that is set", () => {
  test.each<[string, string[]]>([
    ["in the header, two bits", otherSpellings(base64url(withSpareBits(HEADER, 2)))],
    ["in the header, four bits", otherSpellings(header)],
    ["in the payload, two bits", otherSpellings(base64url(withSpareBits(JSON.stringify(claims()), 2)))],
    ["in the payload, four bits", otherSpellings(payload)],
    ["in the signature", otherSpellings(signature)],
  ])("%s", async (where, spellings) => {
    expect(spellings).toHaveLength(where.endsWith("two bits") ? 3 : 15);
    const target = await startTarget();
    for (const spelling of spellings) {
      const decoded = base64url(Buffer.from(spelling, "base64url"));
      expect(decoded).not.toBe(spelling);
      const token = where.startsWith("in the signature")
        ? `${header}.${payload}.${spelling}`
        : where.startsWith("in the header")
          ? join(spelling, payload)
          : join(header, spelling);
      expect(await target.verdict(bearer(token))).toBe("token_malformed");
      // The one canonical spelling of the same bytes, signed, is accepted.
      const canonical = where.startsWith("in the payload") ? join(header, decoded) : join(decoded, payload);
      if (!where.startsWith("in the signature")) expect(await target.verdict(bearer(canonical))).toBe("accepted");
    }
  });
});

describe("parts", () => {
  const bytes = Buffer.from(signature, "base64url");
  const zero = Buffer.alloc(1);
  test.each<[string, string, Verdict]>([
    ["none", "", "request_malformed"],
    ["one", header, "token_malformed"],
    ["two", `${header}.${payload}`, "token_malformed"],
    ["two and a dot", `${header}.${payload}.`, "token_malformed"],
    ["four", `${header}.${payload}.${signature}.${signature}`, "token_malformed"],
    ["four, the last one empty", `${header}.${payload}.${signature}.`, "token_malformed"],
    ["four, the first one empty", `.${header}.${payload}.${signature}`, "token_malformed"],
    ["five, as of a JWE", `${header}.${payload}.${signature}.${payload}.${signature}`, "token_malformed"],
    ["a thousand", `${header}.${payload}.${signature}${".A".repeat(1000)}`, "token_malformed"],
    ["dots", "..", "token_malformed"],
    ["six thousand dots", ".".repeat(6000), "token_malformed"],
    ["in another order", `${payload}.${header}.${signature}`, "algorithm_not_allowed"],
    ["the same thrice", `${header}.${header}.${header}`, "issuer_invalid"],
    ["joined with ~, as an SD-JWT", `${header}.${payload}.${signature}~`, "token_malformed"],
    ["joined with commas", `${header},${payload},${signature}`, "request_malformed"],
    ["a header in lower case", `${header.toLowerCase()}.${payload}.${signature}`, "token_malformed"],
    ["a signature in hexadecimal", `${header}.${payload}.${bytes.toString("hex")}`, "signature_invalid"],
    ["a signature of one byte", `${header}.${payload}.${base64url(zero)}`, "signature_invalid"],
    ["a signature of 255 bytes", `${header}.${payload}.${base64url(bytes.subarray(1))}`, "signature_invalid"],
    ["a zero before it", `${header}.${payload}.${base64url(Buffer.concat([zero, bytes]))}`, "signature_invalid"],
    ["a zero after it", `${header}.${payload}.${base64url(Buffer.concat([bytes, zero]))}`, "signature_invalid"],
    ["a signature twice", `${header}.${payload}.${base64url(Buffer.concat([bytes, bytes]))}`, "signature_invalid"],
    ["a scheme before it", `Bearer ${header}.${payload}.${signature}`, "request_malformed"],
  ])("%s", async (_, token, code) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(token))).toBe(code);
  });
});

describe("other serializations of the same token", () => {
  const flattened = { protected: header, payload, signature };
  const general = { payload, signatures: [{ protected: header, signature }] };
  /** A JSON serialization that splits at its dots into the parts of a compact one. */
  const polyglot = `{"x":"${header}.${payload}.${signature}","protected":"${header}","payload":"${payload}","signature":"${signature}"}`;
  const compact = `{"  ${header}.":1,"protected":"${header}","payload":"${payload}","signature":".${signature}"}`;
  test.each([
    ["flattened JSON", JSON.stringify(flattened)],
    ["general JSON", JSON.stringify(general)],
    ["JSON with an unprotected header", JSON.stringify({ ...flattened, header: { alg: "none" } })],
    ["JSON with a compact one in it", polyglot],
    ["JSON that has two dots", compact],
    ["JSON text of the compact one", JSON.stringify(`${header}.${payload}.${signature}`)],
    ["an array", JSON.stringify([header, payload, signature])],
  ])("%s", async (_, token) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(token))).toBe("request_malformed");
    await expect(target.agents.verifier.verify(token)).rejects.toMatchObject({ code: "token_malformed" });
    // And encoded, as the header's grammar wants it: alone, or as one of the parts.
    expect(await target.verdict(bearer(base64url(token)))).toBe("token_malformed");
    expect(await target.verdict(bearer(`${base64url(token)}.${payload}.${signature}`))).not.toBe("accepted");
  });

  test.each<[string, string | Buffer]>([
    ["a nested token", `${header}.${payload}.${signature}`],
    ["a nested token as JSON", JSON.stringify(`${header}.${payload}.${signature}`)],
    ["a nested token in an array", JSON.stringify([`${header}.${payload}.${signature}`])],
  ])("%s (cty: JWT), signed", async (_, nested) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge({ alg: "RS256", kid: "key-1", cty: "JWT" }, nested)))).toBe(
      "token_malformed",
    );
  });

  describe("a token that is encrypted to the backend's public key, which is everybody's", () => {
    let jwe: string;
    beforeAll(async () => {
      jwe = await new CompactEncrypt(Buffer.from(`${base64url('{"alg":"none"}')}.${payload}.`))
        .setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM", kid: "key-1", cty: "JWT" })
        .encrypt(createPublicKey(signingKey.privateKey));
    });

    test("as it is", async () => {
      const target = await startTarget();
      expect(jwe.split(".")).toHaveLength(5);
      expect(await target.verdict(bearer(jwe))).toBe("token_malformed");
    });

    test("cut to three parts", async () => {
      const target = await startTarget();
      const [jweHeader = "", , , , tag = ""] = jwe.split(".");
      expect(await target.verdict(bearer(`${jweHeader}.${payload}.${tag}`))).toBe("algorithm_not_allowed");
    });
  });
});

const json = JSON.stringify(claims());
/** The claims with these bytes in a string of theirs. */
const withBytes = (member: string, bytes: string): Buffer => {
  const [before = "", after = ""] = JSON.stringify(claims({ [member]: "agent|" })).split("|");
  return Buffer.concat([Buffer.from(before), Buffer.from(bytes, "hex"), Buffer.from(after)]);
};

const NOT_UTF8: [name: string, bytes: string][] = [
  ["a lone continuation byte", "80"],
  ["two continuation bytes", "bfbf"],
  ["an overlong slash in two bytes", "c0af"],
  ["an overlong NUL in two bytes", "c080"],
  ["an overlong slash in three bytes", "e080af"],
  ["an overlong slash in four bytes", "f08080af"],
  ["a surrogate", "eda080"],
  ["a surrogate pair (CESU-8)", "eda0bdedb880"],
  ["beyond U+10FFFF", "f4908080"],
  ["a five-byte sequence", "f888808080"],
  ["a sequence that breaks off", "e282"],
  ["Latin-1", "e9"],
  ["FE and FF", "feff"],
];

describe("JSON that is not UTF-8, signed by the backend", () => {
  test.each(NOT_UTF8)("%s", async (_, bytes) => {
    const target = await startTarget();
    for (const member of ["account_id", "email", "never_read"]) {
      const token = forge(HEADER, withBytes(member, bytes));
      expect(await target.verdict(bearer(token)), member).toBe("token_malformed");
    }
    const inHeader = Buffer.concat([
      Buffer.from('{"alg":"RS256","kid":"key-1","x":"'),
      Buffer.from(bytes, "hex"),
      Buffer.from('"}'),
    ]);
    expect(await target.verdict(bearer(forge(inHeader, json)))).toBe("token_malformed");
  });

  test.each<[string, Buffer]>([
    ["a byte-order mark", Buffer.from(`\ufeff${json}`)],
    ["UTF-16, little-endian", Buffer.from(json, "utf16le")],
    ["UTF-16, little-endian, with its mark", Buffer.from(`\ufeff${json}`, "utf16le")],
    ["UTF-16, big-endian", Buffer.from(json, "utf16le").swap16()],
    ["UTF-16, big-endian, with its mark", Buffer.from(`\ufeff${json}`, "utf16le").swap16()],
    ["UTF-7", Buffer.from(json.replaceAll('"', "+ACI-"))],
    ["NUL before", Buffer.from(`\0${json}`)],
    ["NUL after", Buffer.from(`${json}\0`)],
    ["two values", Buffer.from(`${json}${json}`)],
    ["a comment", Buffer.from(`/**/${json}`)],
    ["a comma too many", Buffer.from(json.replace(/}$/, ",}"))],
    ["single quotes", Buffer.from(json.replaceAll('"', "'"))],
    ["a vertical tab for white space", Buffer.from(`\v${json}`)],
    ["a control character in a string", Buffer.from(json.replace("agent-1", "agent\u0001"))],
    ["NaN", Buffer.from(json.replace(/"iat":\d+/, '"iat":NaN'))],
    ["a number in hexadecimal", Buffer.from(json.replace(/"iat":\d+/, '"iat":0x10'))],
    ["a number with a leading zero", Buffer.from(json.replace(/"iat":/, '"iat":0'))],
    ["not JSON at all", Buffer.from("claims")],
    ["nothing but white space", Buffer.from("   ")],
    ["a number", Buffer.from("1")],
    ["a string", Buffer.from('"claims"')],
    ["true", Buffer.from("true")],
    ["null", Buffer.from("null")],
    ["an array", Buffer.from(`[${json}]`)],
  ])("%s", async (_, bytes) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(HEADER, bytes)))).toBe("token_malformed");
    expect(await target.verdict(bearer(forge(bytes, json)))).toBe("token_malformed");
  });
});
