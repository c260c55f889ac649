/** What a consumer writes: compiled by `npm run check:types`, never run. */

import express from "express";
import { expectTypeOf } from "vitest";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  createJwksResolver,
  createVerifier,
  type AgentIdentity,
  type AgentIdentityErrorCode,
} from "../../src/index.js";
import { Keyv } from "keyv";
import { createIssuer } from "../../src/issuer.js";
import {
  enforceLoginRestrictions,
  loadAuth,
  loginStatus,
  loginWithAccessToken,
  loginWithApiKey,
  logout,
  type AuthConfig,
} from "../../src/login.js";

const agents = agentIdentityAuth("https://chatgpt.com/backend-api");
const app = express();

app.get("/tasks/:id", agents, (req, res) => {
  expectTypeOf(req.agentIdentity).toEqualTypeOf<AgentIdentity | undefined>();
  expectTypeOf(req.params.id).toEqualTypeOf<string>();
  res.json({ agent: req.agentIdentity?.agentRuntimeId });
});
app.use("/admin", agents.restrictTo({ forcedLoginMethod: "chatgpt" }), express.Router().use(agents));
app.use(agentIdentityErrorHandler());

expectTypeOf<ReturnType<typeof agents.authenticate>>().toEqualTypeOf<Promise<AgentIdentity>>();
expectTypeOf<"key_untrusted" | "keys_unavailable">().toExtend<AgentIdentityErrorCode>();

// @ts-expect-error -- there is no default base URL
agentIdentityAuth();
// @ts-expect-error -- there is no default base URL
createVerifier();
// @ts-expect-error -- there is no default base URL
createJwksResolver();
// @ts-expect-error -- nor an options object in its place
agentIdentityAuth({ realm: "x" });
// @ts-expect-error -- an unknown option
agentIdentityAuth("https://chatgpt.com", { audiance: "x" });
// @ts-expect-error -- the verifier has no realm
createVerifier("https://chatgpt.com", { realm: "x" });
// @ts-expect-error -- a misspelt method
agents.restrictTo({ forcedLoginMethod: "apikey" });
// @ts-expect-error -- restrictTo has no base URL of its own
agents.restrictTo("https://chatgpt.com", { forcedLoginMethod: "chatgpt" });
// @ts-expect-error -- no such code
((code: AgentIdentityErrorCode) => code)("unauthorized");

app.get("/", agents, (req) => {
  // @ts-expect-error -- an identity is read, not written
  if (req.agentIdentity) req.agentIdentity.accountId = "acct-2";
  // @ts-expect-error -- it has no private key
  expectTypeOf(req.agentIdentity?.agentPrivateKey);
});

// A backend of one's own.
const issuer = await createIssuer({ store: new Keyv({ throwOnErrors: true }), signingKeys: [] });
agentIdentityAuth("https://chatgpt.com", { directory: issuer.directory, bearer: false });
app.use(issuer.router());
createVerifier("https://chatgpt.com", { jwks: { keySet: await issuer.jwks() } });
expectTypeOf(await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1" })).toExtend<{ token: string }>();
// @ts-expect-error -- an agent belongs to an account
await issuer.mint({ chatgptUserId: "user-1" });
// @ts-expect-error -- a directory answers two questions
agentIdentityAuth("https://chatgpt.com", { directory: { findAgent: () => undefined } });
// @ts-expect-error -- the verifier knows tokens only
createVerifier("https://chatgpt.com", { directory: issuer.directory });

// Login: no function works without a base URL, and none has a default for it.
const config: AuthConfig = { chatgptBaseUrl: "https://chatgpt.com/backend-api" };
for (const act of [loadAuth, loginStatus, logout, enforceLoginRestrictions]) {
  void act(config);
  // @ts-expect-error -- the configuration is missing
  void act();
  // @ts-expect-error -- its base URL is missing
  void act({});
  // @ts-expect-error -- its base URL may be unset
  void act({ chatgptBaseUrl: process.env["CHATGPT_BASE_URL"] });
}
void loginWithAccessToken(config, "token");
// @ts-expect-error -- the base URL is missing
void loginWithAccessToken({}, "token");
// @ts-expect-error -- the configuration is missing
void loginWithApiKey("sk-x");
// @ts-expect-error -- another store
void loadAuth({ ...config, authCredentialsStoreMode: "keyring" });

const auth = await loadAuth(config);
if (auth?.mode === "agentIdentity") {
  await auth.registerTask({ renew: true });
  await fetch("http://127.0.0.1", { headers: auth.authorizationHeaders() });
  // @ts-expect-error -- the private key is nowhere
  expectTypeOf(auth.privateKey);
} else {
  expectTypeOf(auth?.apiKey).toEqualTypeOf<string | undefined>();
}
