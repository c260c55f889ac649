/** A self-signed X.509 certificate (RFC 5280), the least of one: what `x5c` and `x5u` carry. In DER. */

import { createPublicKey, sign, type KeyObject } from "node:crypto";

const element = (tag: number, ...content: Buffer[]): Buffer => {
  const body = Buffer.concat(content);
  const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
};
const sequence = (...content: Buffer[]) => element(0x30, ...content);
const utcTime = (date: Date) => element(0x17, Buffer.from(`${date.toISOString().replace(/\D/g, "").slice(2, 14)}Z`));

const SHA256_WITH_RSA = sequence(Buffer.from("06092a864886f70d01010b0500", "hex"));
const COMMON_NAME = Buffer.from("0603550403", "hex");
const DAY = 86_400_000;

export function selfSign(privateKey: KeyObject, name: string): Buffer {
  const subject = sequence(element(0x31, sequence(COMMON_NAME, element(0x0c, Buffer.from(name)))));
  const certificate = sequence(
    element(0xa0, element(0x02, Buffer.from([2]))), // version 3
    element(0x02, Buffer.from([1])), // serial number
    SHA256_WITH_RSA,
    subject, // as the issuer
    sequence(utcTime(new Date(Date.now() - DAY)), utcTime(new Date(Date.now() + DAY))),
    subject,
    createPublicKey(privateKey).export({ format: "der", type: "spki" }),
  );
  const signature = sign("sha256", certificate, privateKey);
  return sequence(certificate, SHA256_WITH_RSA, element(0x03, Buffer.from([0]), signature));
}
