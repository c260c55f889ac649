/** What one row of the table of security decisions is. */

/** One place in `src`, and what is put there to take the decision away. */
export interface Edit {
  /** Under `src/`. */
  file: string;
  /** Has to be there exactly once. */
  find: string;
  replace: string;
}

export interface Decision {
  /** In plain words: what holds as long as the code is as it is. */
  name: string;
  edits: Edit[];
  /** Under `test/`: a file, or a file and a part of the names of tests in it, as in `verify/verifier.test.ts > alg:`. */
  noticedBy: string;
}

/** A decision that another one stands behind: without it nothing changes that a test could see. */
export interface Redundancy extends Decision {
  /** Why nothing notices. */
  reason: string;
  /** What stands behind it, where that can be taken away as well: then the tests must notice. */
  behind?: Edit[];
  /** What the tests say of it then: so that they notice what both keep out, and not some lesser thing. */
  saying?: string;
}

/** In the order `name, find, replace, noticedBy`; the last one may be left out where the file has a default. */
type Row = [name: string, find: string, replace: string, noticedBy?: string];

export function decisionsOf(file: string, noticedBy: string, rows: Row[]): Decision[] {
  return rows.map(([name, find, replace, noticedByThese = noticedBy]) => ({
    name,
    edits: [{ file, find, replace }],
    noticedBy: noticedByThese,
  }));
}
