/**
 * For tests of your own code: an issuer in memory with good and bad tokens, identities without a token, and a stand-in for
 * the Codex API.
 * @module agent-identity-auth/testing
 */

export type { AgentIdentity } from "./protocol/agent-identity.js";
export { cannedCodexApi } from "./testing/canned-codex-api.js";
export { fakeIdentity } from "./testing/fake-identity.js";
export { createTestIssuer, type TestClaims, type TestIssuer, type TestIssuerOptions } from "./testing/test-issuer.js";
