/** The built site, served on a free port of loopback under the path that it was built for. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

const FOLDER = join(import.meta.dirname, "../../docs/site/.vitepress/dist");
const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".txt": "text/plain",
};

/** Not `/`: a link that forgets the path leads nowhere then. */
export const BASE = process.env["DOCS_BASE"] ?? "/";

export const read = (file: string): string => readFileSync(join(FOLDER, file), "utf8");

/** All but the page of the 404, which has no address. */
export const PAGES: readonly string[] = readdirSync(FOLDER, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".html") && file !== "404.html")
  .sort();

/** @returns the file of a path of the site */
export function fileAt(path: string): string | undefined {
  if (!path.startsWith(BASE)) return undefined;
  const file = decodeURIComponent(path.slice(BASE.length)) || "index.html";
  return existsSync(join(FOLDER, file)) ? file : undefined;
}

export async function serve(): Promise<{ url: string; stop: () => void }> {
  const server = createServer((req, res) => {
    const file = fileAt(new URL(req.url ?? "", "http://site").pathname);
    if (file === undefined) {
      res.writeHead(404).end();
      return;
    }
    res.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" });
    res.end(readFileSync(join(FOLDER, file)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}${BASE}`,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
