/** The server of one contestant, in a process of its own. */

import { once } from "node:events";
import { createServer } from "node:http";
import { answerParent, cpuTime } from "./processes.js";
import { loadContestants } from "./workloads.js";

let received = 0;

answerParent(async ({ listen, read }) => {
  if (read === "cpu") return cpuTime();
  if (read === "peakMemory") return process.resourceUsage().maxRSS * 1024;
  if (read === "received") return received;
  const contestants = await loadContestants(listen.framework);
  const server = createServer(await contestants[listen.name].createListener(listen.trust));
  received = 0;
  if (listen.countRequests) server.prependListener("request", () => received++);
  await once(server.listen(0, "127.0.0.1", 4096), "listening");
  return `http://127.0.0.1:${server.address().port}/tasks`;
});
