/** How much of everything is measured. */

/** Of the load generator: as many requests are under way at any time. */
export const CONNECTIONS = 40;

export interface Plan {
  /** How often all servers are started afresh. */
  generations: number;
  /** Of one generation and kind of traffic: every contestant has its turn. A multiple of their number balances the order. */
  rounds: number;
  /** Of one turn. */
  hotSeconds: number;
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
  /** Rounds, the seconds of one turn, and how many of a round are sent once each: all within the window. */
  assertions: { rounds: number; seconds: number; firstSeen: number };
}

export const fullPlan: Plan = {
  generations: 4,
  rounds: 8,
  hotSeconds: 0.4,
  firstSeenTokens: 20_000,
  tokens: 50_000,
  floodCheckpoints: [10_000, 20_000, 30_000, 40_000, 50_000],
  batches: 60,
  imports: 20,
  mounts: 1_000,
  coldRequests: 1_000,
  assertions: { rounds: 20, seconds: 0.5, firstSeen: 1_000 },
};

/** Shows that everything works. Its figures are not worth keeping. */
export const quickPlan: Plan = {
  ...fullPlan,
  generations: 1,
  rounds: 2,
  hotSeconds: 0.3,
  firstSeenTokens: 2_000,
  tokens: 14_000,
  floodCheckpoints: [10_000, 12_000, 14_000],
  batches: 10,
  imports: 5,
  assertions: { rounds: 2, seconds: 0.3, firstSeen: 500 },
};
