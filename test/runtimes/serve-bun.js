import { createApp } from "./app.js";

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: createApp(process.argv[2], JSON.parse(process.argv[3])),
});
console.log(`listening on ${server.port}`);
