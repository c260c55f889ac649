/**
 * The pages of the site. Most are Markdown files that people also read in a checkout and on npm, so their links are paths of
 * the repository. Here, these paths become links of the site.
 */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

const inDocs = (...names: string[]): string[] => names.map((name) => `docs/${name}.md`);

/** The groups of the sidebar. A page that is not there yet is left out, and a page of `docs/` that no group names is in `More`. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  Start: ["README.md", ...inDocs("getting-started", "frameworks", "runtimes", "mcp", "testing", "typescript-and-jest")],
  Agents: inDocs("agents", "codex"),
  "Your own backend": inDocs("your-own-backend", "stores"),
  Operating: inDocs("operations", "metrics-and-logs", "outages", "proxies", "sizing", "runbook", "why-refused"),
  Reference: inDocs("options", "errors", "identity", "command"),
  More: [
    "SECURITY.md",
    ...inDocs("comparison", "speed"),
    "bench/RESULTS.md",
    "bench/FAULTS.md",
    "bench/PARTS.md",
    "bench/SCALE.md",
    ...inDocs("migration"),
    "CHANGELOG.md",
    "CONTRIBUTING.md",
  ],
};

/** Every file that is committed, or would be. */
const files: readonly string[] = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: ROOT,
  encoding: "utf8",
})
  .split("\n")
  .filter((file) => file !== "" && existsSync(join(ROOT, file)));

/** The Markdown files that are pages; others are shown as code. */
const isPage = (file: string): boolean => /^(docs\/|docs\/site\/.*|bench\/)?[^/]+\.md$/.test(file);

/** The groups with the pages that exist, as paths of the repository. */
export function pageGroups(): [group: string, pages: string[]][] {
  const named = Object.values(GROUPS).flat();
  const others = files.filter((file) => /^docs\/[^/]+\.md$/.test(file) && !named.includes(file));
  return Object.entries(GROUPS).map(([group, pages]) => [
    group,
    [...pages.filter((page) => files.includes(page)), ...(group === "More" ? others : [])],
  ]);
}

export const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** @param text of a Markdown page */
export const titleOf = (text: string): string => /^# (.*)$/m.exec(text)?.[1]?.replace(/[`\\]/g, "") ?? "";

/** @returns where a page of the repository is on the site, still with `.md` */
export function sitePath(page: string): string {
  return page.startsWith("docs/site/") ? page.slice("docs/site/".length) : posix.basename(page).toLowerCase();
}

const linkedFile = (page: string, path: string): string =>
  posix.join(posix.dirname(page), decodeURI(path)).replace(/\/$/, "");

/** @returns the link of the site for a link in `page`; links to other sites and to images, and inside of `page`, stay as they are */
export function siteLink(page: string, link: string): string {
  if (/^([a-z]+:|[/#])|\.svg$/i.test(link)) return link;
  const [path = "", anchor = ""] = link.split(/(?=#)/);
  const file = linkedFile(page, path);
  return `/${isPage(file) ? sitePath(file) : `files/${file}.md`}${anchor}`;
}

/** Finds where links lead, in text without code blocks. */
export const LINK = /(?<=\]\()[^)\s]+/g;

/** Pages for files that are no Markdown: all examples, and what other pages link to. */
export function filePages(): { file: string; text: string }[] {
  const shown = new Set(files.filter((file) => file.startsWith("examples/") && !/\/\.|package-lock/.test(file)));
  for (const page of pageGroups().flatMap(([, pages]) => pages)) {
    const prose = read(page).replace(/^```[^]*?^```/gm, "");
    for (const [link] of prose.matchAll(LINK)) {
      if (siteLink(page, link).startsWith("/files/")) shown.add(linkedFile(page, link.replace(/#.*/, "")));
    }
  }
  return [...shown].map((file) => ({ file, text: files.includes(file) ? codeOf(file) : listOf(file, shown) }));
}

const codeOf = (file: string): string => `# \`${file}\`\n\n<<< @/${file}\n`;

function listOf(folder: string, shown: ReadonlySet<string>): string {
  const lines = files
    .filter((file) => file.startsWith(`${folder}/`))
    .map((file) => (shown.has(file) ? `- [\`${file}\`](/files/${file}.md)` : `- \`${file}\``));
  if (lines.length === 0) throw new Error(`a page links to ${folder}, which does not exist`);
  return `# \`${folder}\`\n\n${lines.join("\n")}\n`;
}
