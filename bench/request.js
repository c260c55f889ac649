/** What the middleware reads of an `IncomingMessage`. */
export function createRequest(text) {
  if (text === undefined) return { headers: { host: "127.0.0.1:3000" }, rawHeaders: ["Host", "127.0.0.1:3000"] };
  // Through bytes, because a header arrives so: as a new flat string, whose hash no engine has computed yet.
  const authorization = Buffer.from(text, "latin1").toString("latin1");
  const rawHeaders = ["Host", "127.0.0.1:3000", "Connection", "keep-alive", "Authorization", authorization];
  return { headers: { host: "127.0.0.1:3000", connection: "keep-alive", authorization }, rawHeaders };
}
