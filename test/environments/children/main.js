/** One child: makes its environment, starts the servers and says where they are. The parent sends the requests. */

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { prepare } from "./prepare.js";

export async function main() {
  const material = JSON.parse(readFileSync(process.env.MATERIAL_FILE, "utf8"));
  const report = (text) => {
    writeFileSync(`${material.reportFile}.part`, text);
    renameSync(`${material.reportFile}.part`, material.reportFile);
  };
  try {
    if (material.when !== "after") await prepare(material);
    const { importAdapters } = await import("./servers.js");
    const start = await importAdapters(material);
    if (material.when === "after") await prepare(material);
    report(JSON.stringify({ adapters: await start(material) }));
  } catch (error) {
    report(JSON.stringify({ error: String(error?.message ?? error) }));
  }
}
