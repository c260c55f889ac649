/** How much of everything is measured. */

/** Of the load generator: as many requests are under way at any time. */
export const CONNECTIONS = 40;

export interface Plan {
  /** How often all servers are started afresh. */
  generations: number;
  /** Of one generation and kind of traffic: every contestant has its turn. */
  rounds: number;
  /** Into which a turn is cut, so that everybody's lie close together. All of a run, by as many as contestants, are balanced. */
  slices: number;
  /**
   * Requests of one slice: long enough that a server under load is measured, and not one that wakes up; and the warm-up is
   * as many for each slice of a turn, because with half of that servers are still being compiled while they are measured.
   */
  hotRequests: number;
  /** Of all rounds of a generation together: no server sees one of them twice. */
  firstSeenTokens: number;
  /** In the token file: the flood takes all of them. */
  tokens: number;
  /** After how many distinct tokens the flood looks at the heap. The first fills the cache. */
  floodCheckpoints: number[];
  /** In-process batches of each kind. */
  batches: number;
  imports: number;
  mounts: number;
  coldRequests: number;
  /** Requests are of one turn. All of them within the window. */
  assertions: { rounds: number; requests: number };
}

export const fullPlan: Plan = {
  generations: 8,
  rounds: 2,
  slices: 10,
  hotRequests: 2_000,
  firstSeenTokens: 20_480,
  tokens: 50_000,
  floodCheckpoints: [10_000, 20_000, 30_000, 40_000, 50_000],
  batches: 60,
  imports: 20,
  mounts: 1_000,
  coldRequests: 1_000,
  assertions: { rounds: 20, requests: 1_000 },
};

/** Shows that everything works. Its figures are not worth keeping. */
export const quickPlan: Plan = {
  ...fullPlan,
  generations: 1,
  rounds: 2,
  slices: 2,
  hotRequests: 320,
  firstSeenTokens: 2_000,
  tokens: 14_000,
  floodCheckpoints: [10_000, 12_000, 14_000],
  batches: 10,
  imports: 5,
  assertions: { rounds: 2, requests: 500 },
};
