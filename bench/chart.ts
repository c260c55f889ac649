/** results.svg: how much of bare Express is left. Legible on light and on dark, without any font of its own. */

import { letEverybodyThrough, type Contestant, type ExpressName } from "./contestants.js";
import type { ContestResults, TrafficKind } from "./traffic.js";

const OWN: ExpressName = "agent-identity-auth";

const WIDTH = 760;
const LABEL_WIDTH = 215;
const BAR_WIDTH = 470; // of a ratio of 1
const BAR_HEIGHT = 13;
const ROW_HEIGHT = 42;
const TOP = 76;

const STYLE = `
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2328 }
    .title { font-size: 15px; font-weight: 600 }
    .own { font-weight: 600 }
    .value { font-size: 11px }
    .axis { stroke: #8c959f; stroke-dasharray: 3 3 }
    .hot { fill: #7d8590 } .firstSeen { fill: #b1bac4 }
    .own.hot { fill: #1a7f64 } .own.firstSeen { fill: #57b99d }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .hot { fill: #8b949e } .firstSeen { fill: #57606a }
      .own.hot { fill: #2fbf97 } .own.firstSeen { fill: #1b7d63 }
    }`;

export function renderChart(
  traffic: Record<TrafficKind, ContestResults<ExpressName>>,
  contestants: Record<ExpressName, Contestant>,
  firstSeenTokens: number,
): string {
  const ranked = (Object.keys(traffic.hot) as ExpressName[])
    .filter((name) => !letEverybodyThrough.has(name))
    .sort((a, b) => traffic.hot[b].ratioTo.bare.median - traffic.hot[a].ratioTo.bare.median);
  const height = TOP + ranked.length * ROW_HEIGHT + 12;
  const axis = LABEL_WIDTH + BAR_WIDTH;

  const rows = ranked.map((name, row) => {
    const top = TOP + row * ROW_HEIGHT;
    const own = name === OWN ? "own " : "";
    const bar = (kind: TrafficKind, y: number) => {
      const value = traffic[kind][name].ratioTo.bare.median;
      const width = Math.round(value * BAR_WIDTH);
      const end = LABEL_WIDTH + width + 6;
      const label = end < axis && end + 30 > axis ? axis + 6 : end; // beside the axis, not across it
      return `
  <rect class="${own}${kind}" x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>
  <text class="${own}value" x="${label}" y="${y + 11}">${value.toFixed(2)}</text>`;
    };
    return `
  <text class="${own.trim()}" x="${LABEL_WIDTH - 12}" y="${top + BAR_HEIGHT + 6}" text-anchor="end">${contestants[name].title}</text>${bar("hot", top)}${bar("firstSeen", top + BAR_HEIGHT + 2)}`;
  });

  const legend = [
    { kind: "hot", text: "the same 100 tokens" },
    { kind: "firstSeen", text: `${firstSeenTokens.toLocaleString("en").replace(",", " ")} tokens, each sent once` },
  ].map(
    ({ kind, text }, i) => `
  <rect class="${kind}" x="${LABEL_WIDTH + i * 165}" y="39" width="12" height="12" rx="2"/>
  <text class="value" x="${LABEL_WIDTH + 17 + i * 165}" y="49">${text}</text>`,
  );

  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Requests per second as a fraction of Express without authentication">
  <style>${STYLE}
  </style>
  <text class="title" x="${LABEL_WIDTH}" y="24">Requests per second, Express without authentication = 1</text>${legend.join("")}
  <line class="axis" x1="${axis}" y1="${TOP - 10}" x2="${axis}" y2="${height - 8}"/>${rows.join("")}
</svg>
`;
}
