// Moved: import from test/support/ instead. This line goes when nobody imports it any more.
export * from "../support/certificate.js";
