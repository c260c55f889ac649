/**
 * Your own backend: it mints tokens, serves the JWKS, registers tasks, and is the directory for AgentAssertions.
 * @module agent-identity-auth/issuer
 */

export type { IssuerRouter, RouterOptions } from "./issuer/codex-router.js";
export { createIssuer, type Issuer, type IssuerOptions, type MintedToken } from "./issuer/create-issuer.js";
export type { KeyvStore } from "./issuer/documents.js";
export type { IssuerStore } from "./protocol/issuer-store.js";
export type { Enrol, EnrolledAgent, EnrolmentRequest } from "./issuer/enrolment.js";
export type { MintClaims } from "./issuer/mint.js";
export type { IssuerEvent } from "./issuer/diagnostics.js";
export type { StoreSecret } from "./issuer/seal.js";
export type { ExternalKey, LocalKey, PublishedKeys, SigningKey } from "./issuer/signing-keys.js";
export type {
  AgentDirectory,
  DirectoryAgent,
  DirectoryEntry,
  DirectoryTask,
} from "./verify/assertions/agent-directory.js";
