import { waitUntil } from "cloudflare:workers";
import { createApp } from "./app.js";

let app;
export default {
  fetch(request, { BASE_URL, OPTIONS, PASS_WAIT_UNTIL }) {
    app ??= createApp(BASE_URL, { ...JSON.parse(OPTIONS), ...(PASS_WAIT_UNTIL === "yes" && { waitUntil }) });
    return app(request);
  },
};
