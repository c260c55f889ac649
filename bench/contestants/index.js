/** Who is measured. Each module exports a table of contestants; a server loads the packages of its own contestant only. */

export const frameworks = ["express", "koa", "fastify", "hono"];

export async function loadContestants(framework) {
  return (await import(`./${framework}.js`)).contestants;
}
