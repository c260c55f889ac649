/** What is sent, to whom, and to what the answers are compared. */

export const HOT_TOKENS = 100;

/** Each is a module with a table of contestants. A server loads the packages of its own contestant only. */
export const frameworks = ["express", "koa", "fastify", "hono"];
export const loadContestants = async (framework) => (await import(`./contestants/${framework}.js`)).contestants;

const hot = { roles: ["bare", "floor", "own", "keeping", "jose", "peer"], references: ["floor"] };
// What only the core decides is measured on one framework.
const firstSeen = { roles: ["bare", "own", "jose", "peer"], references: ["jose", "bare"], once: true, on: ["express"] };
const assertions = { roles: ["bare", "reader", "directory"], references: ["reader"] };
const refused = { roles: ["bare", "refuser", "own", "jose"], references: ["refuser"], refused: true, on: ["express"] };

/**
 * - `roles`: which contestants take part
 * - `references`: the role that every contestant is compared with: the first one that the framework has
 * - `on`: the frameworks; all, if there is none
 * - `once`: each header is sent once to a server
 * - `refused`: all contestants but `bare` must refuse
 */
export const workloads = {
  hot: { title: "hot bearer tokens", ...hot },
  "first-seen": { title: "first-seen bearer tokens", ...firstSeen },
  assertions: { title: "repeated AgentAssertions", ...assertions },
  none: { title: "refused: no credentials", ...refused },
  malformed: { title: "refused: malformed", ...refused },
  expired: { title: "refused: expired", ...refused },
  "unknown-kid": { title: "refused: unknown key", ...refused },
};
