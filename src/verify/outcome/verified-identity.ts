/** The stamp that only verification puts on an identity. An object without it is not an identity. */

import type { AgentIdentity } from "../../protocol/agent-identity.js";
import { PrivateField } from "../../runtime/private-field.js";

class Stamp extends PrivateField {
  readonly #verified = true;

  static isOn(value: unknown): value is AgentIdentity {
    return typeof value === "object" && value !== null && #verified in value;
  }
}

/** Stamps a plain object and freezes it. A copy of the object has no stamp, and an object that inherits from it has none. */
export function verifiedIdentity(identity: AgentIdentity): AgentIdentity {
  new Stamp(identity);
  return Object.freeze(identity);
}

export const isVerifiedIdentity = (value: unknown): value is AgentIdentity => Stamp.isOn(value);
