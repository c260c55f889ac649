/** The one builder of `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1). */

import { isLoopback } from "../../protocol/base-url.js";
import type { OptionCheck } from "../../protocol/options.js";

export interface ChallengeParameters {
  realm: string;
  resourceMetadata: string | undefined;
}

export const DEFAULT_REALM = "agent-identity";

export const aRealm: OptionCheck = {
  expected: "a string of printable ASCII characters that is not blank",
  accepts: (value) => typeof value === "string" && /^[\x20-\x7e]+$/.test(value) && value.trim() !== "",
};

export const aResourceMetadataUrl: OptionCheck = {
  expected: "an absolute https URL (http on loopback) of printable ASCII, without credentials or fragment",
  accepts(value) {
    if (typeof value !== "string" || !/^https?:\/\/[\x21-\x7e]+$/i.test(value) || !URL.canParse(value)) return false;
    const url = new URL(value);
    if (url.username !== "" || url.password !== "" || url.hash !== "") return false;
    return url.protocol === "https:" || isLoopback(url);
  },
};

export function buildChallenge(
  { realm, resourceMetadata }: ChallengeParameters,
  error?: { error: string; description: string },
): string {
  const parameters = [["realm", realm]];
  if (error) parameters.push(["error", error.error], ["error_description", error.description]);
  if (resourceMetadata !== undefined) parameters.push(["resource_metadata", resourceMetadata]);
  return `Bearer ${parameters.map(([name, value = ""]) => `${name}=${quoted(value)}`).join(", ")}`;
}

/** RFC 9110 §5.6.4: a backslash goes before `"` and `\`. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
