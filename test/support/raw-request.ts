/** Requests that no client library would send, byte for byte over a socket. */

import { connect } from "node:net";
import type { Answer } from "./servers.js";

/** @param headers lines as they go over the wire, without the last line break; each character is a byte */
export function sendRaw(url: string, headers: string): Promise<Answer> {
  const { hostname, port } = new URL(url);
  const request = `GET / HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n${headers}\r\n\r\n`;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(port), hostname, () => socket.write(request, "latin1"));
    socket
      .on("data", (chunk) => chunks.push(chunk))
      .on("close", () => {
        resolve(parseAnswer(Buffer.concat(chunks).toString()));
      })
      .on("error", (error) => {
        // A server that has refused need not read what comes after.
        if (chunks.length === 0) reject(error);
      });
  });
}

function parseAnswer(text: string): Answer {
  const [head = "", body = ""] = text.split("\r\n\r\n", 2);
  const [statusLine = "", ...lines] = head.split("\r\n");
  const headers = lines.map((line) => {
    const [name = "", value = ""] = line.split(/: (.*)/, 2);
    return [name.toLowerCase(), value];
  });
  return { status: Number(statusLine.split(" ")[1]), headers: Object.fromEntries(headers) as Answer["headers"], body };
}
