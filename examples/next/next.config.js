/** Only for an example inside of another project: Next would take that project's folder for its own. */
export default { turbopack: { root: import.meta.dirname } };
