import { randomUUID } from "node:crypto";

/** As long as any agent's id, so that the answer is of the same size. */
export const nobody = randomUUID();
