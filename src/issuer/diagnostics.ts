/** The channel `agent-identity-auth:issuer` of `node:diagnostics_channel`. An event is built only where somebody subscribes. */

import { channel } from "node:diagnostics_channel";

const issuerChannel = channel("agent-identity-auth:issuer");

/** The message of the channel `agent-identity-auth:issuer`. It holds no token and no private key. Times are in seconds. */
export interface IssuerEvent {
  /** What has happened. `key.signs`: this process signs with this key from now on. `agent.minted`: also by self-enrolment. */
  readonly type:
    | "key.created"
    | "key.signs"
    | "key.withdrawn"
    | "agent.minted"
    | "agent.revoked"
    | "agent.reinstated"
    | "task.registered"
    | "store.failed";
  /** The signing key: of `key.*`, and of `agent.minted` for a token. */
  readonly kid?: string;
  /** When the key of `key.created` begins to sign. */
  readonly signsFrom?: number;
  /** The agent of `agent.*` and `task.registered`. */
  readonly agentRuntimeId?: string;
  /** The account of the agent that was minted. */
  readonly accountId?: string;
  /** The user of the agent that was minted. */
  readonly chatgptUserId?: string;
  /** The task of `task.registered`. */
  readonly taskId?: string;
  /** When the token or the task ends. */
  readonly expiresAt?: number;
  /** The function of the store that failed, took too long, or gave something else than text. */
  readonly call?: string;
}

export function publishIssuerEvent(event: IssuerEvent): void {
  if (issuerChannel.hasSubscribers) issuerChannel.publish(event);
}
