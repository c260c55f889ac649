import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { jwks } from "./agents.js";
import { JWKS_PATHS } from "./jwks-server.js";

export interface ReceivedRequest {
  readonly method: string;
  /** As sent, with the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface TaskAnswer {
  /** `"none"` closes the connection. Default: 200. */
  status?: number | "none";
  body: unknown;
}

export interface Backend {
  /** `http://127.0.0.1:PORT/backend-api`: what both sides are configured with. */
  readonly baseUrl: string;
  readonly authApiBaseUrl: string;
  /** What was asked since this was called last. */
  takeRequests(): Asked;
  /** From now on connections are refused. */
  close(): Promise<void>;
}

export interface Asked {
  readonly keys: ReceivedRequest[];
  readonly tasks: ReceivedRequest[];
  readonly others: ReceivedRequest[];
}

/** What the model says, at every turn. */
export const MODEL_SAYS = "a turn with the model";

/**
 * Serves the key set, registers tasks and plays the model, on loopback.
 * @param answerTask to the n-th registration since `takeRequests`, from 1
 */
export async function startBackend(
  answerTask: (n: number) => TaskAnswer = () => ({ body: { task_id: "task-1" } }),
): Promise<Backend> {
  let asked = nothingAsked();
  const server = createServer((req, res) => {
    const { method = "", url: path = "", headers } = req;
    void text(req).then((body) => {
      const request = { method, path, headers, body };
      if (JWKS_PATHS.includes(path)) {
        asked.keys.push(request);
        sendJson(res, 200, jwks);
      } else if (path.startsWith(TASKS)) {
        asked.tasks.push(request);
        const { status = 200, body } = answerTask(asked.tasks.length);
        if (status === "none") req.socket.destroy();
        else sendJson(res, status, JSON.stringify(body));
      } else {
        asked.others.push(request);
        if (path === "/backend-api/codex/responses") sendTurn(res);
        else sendJson(res, 404, "{}");
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/backend-api`,
    authApiBaseUrl: `http://127.0.0.1:${port}/api/accounts`,
    takeRequests() {
      const taken = asked;
      asked = nothingAsked();
      return taken;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const TASKS = "/api/accounts/v1/agent/";

function nothingAsked(): Asked {
  return { keys: [], tasks: [], others: [] };
}

function sendJson(res: ServerResponse, status: number, json: string): void {
  res.writeHead(status, { "content-type": "application/json" }).end(json);
}

/** A complete turn, as server-sent events. */
function sendTurn(res: ServerResponse): void {
  const message = { type: "message", role: "assistant", id: "m", content: [{ type: "output_text", text: MODEL_SAYS }] };
  const usage = {
    input_tokens: 1,
    input_tokens_details: null,
    output_tokens: 1,
    output_tokens_details: null,
    total_tokens: 2,
  };
  const events = [
    { type: "response.created", response: { id: "r" } },
    { type: "response.output_item.done", item: message },
    { type: "response.completed", response: { id: "r", usage } },
  ];
  res.writeHead(200, { "content-type": "text/event-stream" });
  res.end(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
}
