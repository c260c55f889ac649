/** The Express releases that everything is run on. */

import express5 from "express";
import express4 from "express4";

export const expressReleases: [name: string, express: typeof express5][] = [
  ["Express 4", express4],
  ["Express 5", express5],
];
