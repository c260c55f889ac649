/** `llms.txt` names all pages of the site, and `llms-full.txt` holds the text of those that people wrote: both for agents. */

import { LINK, pageGroups, read, siteLink } from "./pages.js";

export interface SiteGroup {
  readonly text: string;
  readonly items: readonly { readonly text: string; readonly link: string }[];
}

/** Without the first slash, because the site may be served under a path. */
const relative = (link: string): string => link.replace(/^\//, "").replace(/\.md(?=#|$)/, ".html");

export function llmsIndex(name: string, summary: string, groups: readonly SiteGroup[]): string {
  const sections = groups.map(({ text, items }) => {
    const lines = items.map((item) => `- [${item.text}](${relative(item.link)})`);
    return `## ${text}\n\n${lines.join("\n")}\n`;
  });
  return [`# ${name}\n`, `> ${summary}\n`, ...sections].join("\n");
}

export function llmsText(): string {
  return pageGroups()
    .flatMap(([, pages]) => pages)
    .map(textOf)
    .join("\n\n");
}

/** The text of a page with links of the site. Code blocks, the odd parts, stay as they are. */
function textOf(page: string): string {
  return read(page)
    .split(/(^```[^]*?^```)/m)
    .map((part, i) => (i % 2 === 0 ? part.replace(LINK, (link) => relative(siteLink(page, link))) : part))
    .join("");
}
