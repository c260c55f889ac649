// Moved: import from test/support/ instead. This line goes when nobody imports it any more.
export * from "../support/request-table.js";
export * from "../support/refusals.js";
