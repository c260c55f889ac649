/** Child processes that answer questions. A child ends itself when its parent does. */

import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The child is ended if an answer takes longer. */
const LONGEST_ANSWER = 180_000; // ms

export interface Child {
  ask(question: object): Promise<unknown>;
  stop(): Promise<void>;
}

/** @param module a file beside this one, or its URL */
export function startChild(module: string, options: { args?: string[]; exposeGc?: boolean } = {}): Child {
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), options.args ?? [], {
    execArgv: [...process.execArgv, ...(options.exposeGc ? ["--expose-gc"] : [])],
    env: { ...process.env, NODE_ENV: "production" },
  });
  return {
    ask: (question) => askChild(child, module, question),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = new Promise((resolve) => child.once("exit", resolve));
      child.disconnect();
      await exit;
    },
  };
}

function askChild(child: ChildProcess, module: string, question: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      clearTimeout(timer);
      child.off("exit", onExit).off("message", onMessage);
      action();
    };
    const onExit = (code: number | null) => {
      settle(() => {
        reject(new Error(`${module} ended with ${code ?? "a signal"}`));
      });
    };
    const onMessage = (message: unknown) => {
      const { answer, error } = message as { answer?: unknown; error?: string };
      settle(() => {
        if (error === undefined) resolve(answer);
        else reject(new Error(`${module}: ${error}`));
      });
    };
    const timer = setTimeout(() => {
      settle(() => {
        child.kill();
        reject(new Error(`${module} gave no answer in ${LONGEST_ANSWER} ms`));
      });
    }, LONGEST_ANSWER);
    child.on("exit", onExit).on("message", onMessage);
    child.send(question);
  });
}

/** The child's side. */
export function answerParent(answer: (question: never) => unknown): void {
  process.on("disconnect", () => process.exit());
  process.on("message", (question) => {
    void Promise.resolve()
      .then(() => answer(question as never))
      .then(
        (given) => process.send?.({ answer: given }),
        (error: unknown) => process.send?.({ error: error instanceof Error ? error.stack : String(error) }),
      );
  });
}
