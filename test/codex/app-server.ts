/** `codex app-server`: one client process that stays, and has turns in threads when it is told to. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

interface Message {
  id?: number;
  method?: string;
  params?: { threadId?: string; turn?: Turn; item?: { type: string; text?: string } };
  result?: unknown;
  error?: { message: string };
}

interface Turn {
  readonly status: string;
  readonly error?: { readonly message: string } | null;
}

export interface TurnResult {
  /** `completed` or `failed`. */
  readonly status: string;
  /** What the model said. */
  readonly says: string;
  /** What the client shows for a failure. */
  readonly error: string | undefined;
}

export interface AppServer {
  /** @returns the id of a new thread */
  startThread(): Promise<string>;
  haveTurn(threadId: string): Promise<TurnResult>;
  close(): Promise<void>;
}

/** @param command with all its arguments */
export async function startAppServer(
  [command, ...args]: readonly [command: string, ...args: string[]],
  options: { cwd: string; env: Readonly<Record<string, string>> },
): Promise<AppServer> {
  const child = spawn(command, args, { ...options, stdio: ["pipe", "pipe", "ignore"] });
  const closed = once(child, "close");
  const listeners = new Set<(message: Message) => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = JSON.parse(line) as Message;
    for (const listener of listeners) listener(message);
  });

  /** Resolves with what `select` makes of a message, at most 60 s later. */
  const receive = <T>(select: (message: Message) => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        listeners.delete(listener);
        reject(new Error("the app-server has not answered"));
      }, 60_000);
      const listener = (message: Message) => {
        const selected = select(message);
        if (selected === undefined) return;
        clearTimeout(timer);
        listeners.delete(listener);
        resolve(selected);
      };
      listeners.add(listener);
    });

  let lastId = 0;
  const send = (message: object) => child.stdin.write(`${JSON.stringify(message)}\n`);
  const ask = async (method: string, params: object): Promise<unknown> => {
    const id = ++lastId;
    const answer = receive((message) => (message.id === id && message.method === undefined ? message : undefined));
    send({ id, method, params });
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  };

  await ask("initialize", { clientInfo: { name: "test", version: "1.0.0" } });
  send({ method: "initialized" });
  return {
    async startThread() {
      const { thread } = (await ask("thread/start", {})) as { thread: { id: string } };
      return thread.id;
    },
    async haveTurn(threadId) {
      let says = "";
      const done = receive(({ method, params }) => {
        if (params?.threadId !== threadId) return undefined;
        if (method === "item/completed" && params.item?.type === "agentMessage") says += params.item.text ?? "";
        return method === "turn/completed" ? params.turn : undefined;
      });
      await ask("turn/start", { threadId, input: [{ type: "text", text: "say hi" }] });
      const { status, error } = await done;
      return { status, says, error: error?.message };
    },
    async close() {
      child.kill("SIGKILL");
      await closed;
    },
  };
}
