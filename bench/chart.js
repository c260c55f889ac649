/** chart.svg: the table of hot tokens on Express in RESULTS.md. */

const WIDTH = 800;
const LABELS = 300;
const BAR = 12;
const ROW = 40;
const TOP = 56;

/** @param results the text of RESULTS.md */
export function renderChart(results) {
  const [head, ...rows] = tableOf(results);
  const releases = head.flatMap((cell, column) => {
    const [, name] = /^(Node \d+)[\d.]*: requests\/s$/.exec(cell) ?? [];
    return name === undefined ? [] : [{ name, column }];
  });
  const servers = rows.slice(1, 1 + rows.slice(2).findIndex(([workload]) => workload !== "") + 1);
  const most = Math.max(...servers.flatMap((cells) => releases.map(({ column }) => Number(cells[column]))));
  const scale = (WIDTH - LABELS - 70) / most;
  const bars = servers.flatMap((cells, i) => {
    const y = TOP + i * ROW;
    const own = cells[1].startsWith("**") ? " own" : "";
    const label = cells[1].replaceAll(/[*_`]/g, "");
    return [
      `<text class="label${own}" x="${LABELS - 12}" y="${y + 19}">${label}</text>`,
      ...releases.map(({ column }, r) => {
        const rate = Number(cells[column]);
        const top = y + r * (BAR + 2) + 2;
        const width = Math.round(rate * scale);
        const text = `<text x="${LABELS + width + 6}" y="${top + 10}">${rate.toLocaleString("en")}</text>`;
        return `<rect class="r${r}${own}" x="${LABELS}" y="${top}" width="${width}" height="${BAR}" rx="2"/>${text}`;
      }),
    ];
  });
  const legend = releases.map(
    ({ name }, r) =>
      `<rect class="r${r} own" x="${LABELS + r * 90}" y="30" width="12" height="12" rx="2"/><text x="${LABELS + 18 + r * 90}" y="40">${name}</text>`,
  );
  const height = TOP + servers.length * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Requests a second on Express, with tokens that were seen before">
<style>
text { font: 12px system-ui, sans-serif; fill: #57606a } .label { text-anchor: end } .title, text.own { font-weight: 600; fill: #24292f }
.r0 { fill: #b6bec9 } .r1 { fill: #8c959f } .r0.own { fill: #6f8fe8 } .r1.own { fill: #3451b2 }
@media (prefers-color-scheme: dark) { text { fill: #8b949e } .title, text.own { fill: #e6edf3 } .r0 { fill: #6e7681 } .r1 { fill: #484f58 } }
</style>
<text class="title" x="${LABELS}" y="16">Requests a second on Express, tokens seen before</text>
${[...legend, ...bars].join("\n")}
</svg>
`;
}

/** The cells of the first table under the heading of Express, without the line under its head. */
function tableOf(results) {
  const section = results.split("\n### Express\n")[1] ?? "";
  const lines = section.trim().split("\n\n")[0] ?? "";
  return lines.split("\n").map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
