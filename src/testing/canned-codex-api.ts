/** A stand-in for the Codex API. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { requestPath } from "../runtime/request-path.js";

/**
 * As much of the Codex API as one turn needs, with an answer that is always the same: for demonstrations and tests.
 * @param reply the text of every turn
 */
export function cannedCodexApi(reply: string): (req: IncomingMessage, res: ServerResponse) => void {
  return function cannedCodexApi(req, res) {
    req.resume();
    const path = requestPath(req.url);
    if (req.method === "POST" && path.endsWith("/codex/responses")) {
      res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
      res.end(turn(reply).map(serverSentEvent).join(""));
      return;
    }
    // Clients also ask for plugins, models and settings, and do without.
    res.writeHead(404, { "Content-Type": "application/json; charset=utf-8" });
    res.end('{"error":{"message":"There is nothing here.","type":"invalid_request_error","code":"not_found"}}');
  };
}

type CodexEvent = { type: string } & Record<string, unknown>;

function turn(reply: string): CodexEvent[] {
  const id = "response-1";
  const content = [{ type: "output_text", text: reply }];
  const usage = {
    input_tokens: 0,
    input_tokens_details: null,
    output_tokens: 0,
    output_tokens_details: null,
    total_tokens: 0,
  };
  return [
    { type: "response.created", response: { id } },
    { type: "response.output_item.done", item: { type: "message", role: "assistant", id: "message-1", content } },
    { type: "response.completed", response: { id, usage } },
  ];
}

function serverSentEvent(event: CodexEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
