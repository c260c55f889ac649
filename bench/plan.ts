/** How much of everything is measured. */

/** Of the load generator: as many requests are under way at any time. */
export const CONNECTIONS = 40;

export interface Plan {
  /** How often all servers are started afresh. */
  generations: number;
  /** Of one generation and kind of traffic: every contestant has a turn in each. By as many as contestants, a run is balanced. */
  rounds: number;
  /**
   * Of one turn, which then lasts a third of a second and more. The others' turns are a pause, in which V8 shrinks a
   * server's heap: in turns of a tenth of a second, how it grew again was a good part of what was measured. As many as
   * of all turns warm up: with less, servers are still compiled.
   */
  hotRequests: { express: number; koa: number };
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
  generations: 10,
  rounds: 4,
  hotRequests: { express: 6_000, koa: 24_000 },
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
  hotRequests: { express: 500, koa: 500 },
  firstSeenTokens: 2_000,
  tokens: 14_000,
  floodCheckpoints: [10_000, 12_000, 14_000],
  batches: 10,
  imports: 5,
  assertions: { rounds: 2, requests: 500 },
};
