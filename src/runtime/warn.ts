import process from "node:process";

/** Tells the operator. It never throws: no request may fail because of a warning. */
export function warn(message: string): void {
  try {
    process.emitWarning(message, "AgentIdentityWarning");
  } catch {
    console.warn(`AgentIdentityWarning: ${message}`); // older Cloudflare Workers have no emitWarning
  }
}
