/** Child processes that answer questions, one at a time. A child ends itself when its parent does. */

import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const LONGEST_ANSWER = 180_000; // ms

/** The executable of a Node release: the running one, or one that `package.json` has under an alias. */
export function nodeOf(major) {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const path = fileURLToPath(new URL(`node_modules/node${major}/bin/node`, import.meta.url));
  if (!existsSync(path)) throw new Error(`there is no Node ${major}: add node${major} to bench/package.json`);
  return path;
}

/** @param module a file in bench/ */
export function startChild(module, { node = process.execPath, execArgv = [] } = {}) {
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), {
    execPath: node,
    execArgv,
    env: { ...process.env, NODE_ENV: "production" },
  });
  let pending;
  child.on("message", ({ answer, error }) => {
    if (error === undefined) pending.resolve(answer);
    else pending.reject(new Error(`${module}: ${error}`));
  });
  child.on("exit", (code) => pending?.reject(new Error(`${module} ended with ${code ?? "a signal"}`)));
  return {
    async ask(question) {
      const timer = setTimeout(() => child.kill(), LONGEST_ANSWER);
      try {
        return await new Promise((resolve, reject) => {
          pending = { resolve, reject };
          child.send(question);
        });
      } finally {
        pending = undefined;
        clearTimeout(timer);
      }
    },
    async stop() {
      if (!child.connected) return; // it has ended, or is about to
      const exit = once(child, "exit");
      child.disconnect();
      await exit;
    },
  };
}

/** @returns µs of this process so far, in all its threads */
export function cpuTime() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** @returns bytes that this process holds after a collection; it needs `--expose-gc` */
export async function heldBytes() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await delay(20); // what finalizers release goes with the next collection
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The child's side. */
export function answerParent(answer) {
  process.on("disconnect", () => process.exit());
  process.on("message", async (question) => {
    try {
      process.send({ answer: await answer(question) });
    } catch (error) {
      process.send({ error: error.stack });
    }
  });
}
