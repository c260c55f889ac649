/** `npm run bench:faults`: lets everything go wrong before every contestant that verifies, and writes FAULTS.md. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { contestants, type Contestant } from "../contestants.js";
import { startChild, type Child } from "../processes.js";
import { createAgentTokens } from "./agent-tokens.js";
import { createCertificate } from "./certificate.js";
import { faults, RANDOM_KIDS, SHORT_AGE, TOKENS, type Fault } from "./faults.js";
import { ageOptions, peerNames, type PeerName } from "./peers.js";
import { renderFaults, type Row } from "./report.js";
import { withStage, type ContestantOptions } from "./stage.js";

const certificate = createCertificate();
const directory = mkdtempSync(join(os.tmpdir(), "agent-identity-auth-faults-"));
process.once("SIGINT", () => process.exit(130));
process.once("exit", () => {
  rmSync(directory, { recursive: true });
});
const certificateFile = join(directory, "certificate.pem");
writeFileSync(certificateFile, certificate.cert);
process.env["NODE_EXTRA_CA_CERTS"] = certificateFile; // for the contestants' processes

const tokens = await createAgentTokens(TOKENS, RANDOM_KIDS);
const servers = mapPeers(() => startServer());
try {
  const rows: Row[] = [];
  for (const fault of faults) {
    console.error(fault.title);
    rows.push(await measureRow(fault));
  }
  writeFileSync(new URL("../FAULTS.md", import.meta.url), await renderFaults(rows, await loadPeers()));
  console.error("wrote bench/FAULTS.md");
} finally {
  await Promise.all(Object.values(servers).map((server) => server.stop()));
}

function startServer(): Child {
  return startChild("faults/server.ts");
}

async function measureRow(fault: Fault): Promise<Row> {
  const cells = mapPeers(() => "");
  const otherwise: Row["otherwise"] = {};
  const measurePeer = async (name: PeerName) => {
    cells[name] = await measure(fault, name, {});
    const options = fault.otherwise?.[name];
    if (options) otherwise[name] = { options, cell: await measure(fault, name, options) };
  };
  if (fault.waits) await Promise.all(peerNames.map(measurePeer));
  else for (const name of peerNames) await measurePeer(name);
  return { fault, cells, otherwise };
}

async function measure(fault: Fault, name: PeerName, options: ContestantOptions): Promise<string> {
  const server = fault.freshProcess ? startServer() : servers[name];
  const ageOption = ageOptions[name];
  const keyOptions = {
    ...(fault.shortAge && ageOption !== undefined ? { [ageOption]: SHORT_AGE } : {}),
    ...options.keyOptions,
  };
  const given = Object.keys(keyOptions).length > 0 ? { ...options, keyOptions } : options;
  try {
    return await withStage({ name, server, certificate, tokens, options: given }, (stage) =>
      fault.measure(stage, tokens),
    );
  } catch (error) {
    throw new Error(`${name}: ${fault.title}`, { cause: error });
  } finally {
    if (fault.freshProcess) await server.stop();
  }
}

async function loadPeers(): Promise<Record<PeerName, Contestant>> {
  const loaded = peerNames.map(async (name) => [name, (await contestants[name]()).contestant] as const);
  return Object.fromEntries(await Promise.all(loaded)) as Record<PeerName, Contestant>;
}

function mapPeers<T>(map: (name: PeerName) => T): Record<PeerName, T> {
  return Object.fromEntries(peerNames.map((name) => [name, map(name)])) as Record<PeerName, T>;
}
