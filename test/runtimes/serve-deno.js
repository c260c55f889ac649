import { createApp } from "./app.js";

const [baseUrl, options] = Deno.args;
Deno.serve(
  { port: 0, hostname: "127.0.0.1", onListen: ({ port }) => console.log(`listening on ${port}`) },
  createApp(baseUrl, JSON.parse(options)),
);
