/** The stamp that only verification puts on an identity. What does not carry it is not an identity. */

import type { AgentIdentity } from "../../protocol/agent-identity.js";
import { PrivateField } from "../../runtime/private-field.js";

class Stamp extends PrivateField {
  readonly #verified = true;

  static isOn(value: unknown): value is AgentIdentity {
    return typeof value === "object" && value !== null && #verified in value;
  }
}

/** Stamps a plain object, then freezes it. A copy of it does not carry the stamp, nor does what inherits from it. */
export function verifiedIdentity(identity: AgentIdentity): AgentIdentity {
  new Stamp(identity);
  return Object.freeze(identity);
}

export const isVerifiedIdentity = (value: unknown): value is AgentIdentity => Stamp.isOn(value);
