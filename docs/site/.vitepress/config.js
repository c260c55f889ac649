/** The site of `docs/`: `pages.ts` says which files are its pages, and where. */

import { readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { defineConfig } from "vitepress";
import { headingAnchor } from "../../../scripts/heading-anchor.ts";
import { llmsIndex, llmsText } from "../llms.ts";
import { filePages, pageGroups, read, ROOT, siteLink, sitePath, titleOf } from "../pages.ts";

const NAME = "agent-identity-auth";
const SUMMARY = "Know which Codex agent is calling your Node server.";

/** Written by TypeDoc before each build. */
const apiPages = readdirSync(join(ROOT, "docs/site/api"), { recursive: true })
  .filter((file) => file.endsWith(".md") && file !== "index.md")
  .map((file) => `docs/site/api/${file}`)
  .sort();

const item = (page) => ({ text: page === "README.md" ? "Overview" : titleOf(read(page)), link: `/${sitePath(page)}` });

const group = ([text, pages]) => ({ text, items: pages.map(item) });

const sidebar = [...pageGroups(), ["API", apiPages]].map(group);
const files = {
  text: "Files",
  items: filePages().map(({ file }) => ({ text: file, link: `/files/${file}.md` })),
};

/** Pages stand outside of this folder: a search upwards from them finds neither Vue nor the packages that VitePress asks Vite for. */
const packagesOfThisFolder = {
  name: "packages-of-this-folder",
  enforce: "pre",
  resolveId: (id, _importer, { ssr }) => (ssr && /^vue(\/|$)/.test(id) ? { id, external: true } : undefined),
  configResolved: ({ optimizeDeps }) => void (optimizeDeps.include = []),
};

export default defineConfig({
  title: NAME,
  description: SUMMARY,
  base: process.env.DOCS_BASE ?? "/",
  head: [["link", { rel: "icon", href: "data:," }]], // or browsers ask for one that is not there
  srcDir: ROOT,
  srcExclude: [
    "docs/site/api/index.md",
    ".github/**",
    "AGENTS.md",
    "api/**",
    "examples/**",
    "scripts/**",
    "src/**",
    "test/**",
  ],
  rewrites: sitePath,
  vite: { plugins: [packagesOfThisFolder], build: { chunkSizeWarningLimit: 2000 } }, // the search index is one chunk
  markdown: {
    anchor: { slugify: headingAnchor },
    config(md) {
      md.core.ruler.push("site-links", ({ env, tokens }) => {
        const page = relative(ROOT, env.realPath ?? env.path);
        for (const token of tokens.flatMap(({ children }) => children ?? [])) {
          if (token.type === "link_open") token.attrSet("href", siteLink(page, token.attrGet("href")));
        }
      });
    },
  },
  themeConfig: {
    nav: ["docs/options.md", "docs/errors.md", "docs/runbook.md"].map(item),
    sidebar,
    outline: [2, 3],
    search: {
      provider: "local",
      options: {
        // A guide answers a question better than a signature, a measurement or what has changed.
        miniSearch: {
          searchOptions: {
            boostDocument: (id) =>
              /\/(api|changelog|comparison|contributing|faults|migration|results)\b/.test(id) ? 0.15 : 1,
          },
        },
      },
    },
  },
  transformPageData({ filePath, frontmatter }) {
    if (!/^## /m.test(read(filePath))) frontmatter.aside = false; // it would be empty
  },
  buildEnd({ outDir }) {
    writeFileSync(join(outDir, "llms.txt"), llmsIndex(NAME, SUMMARY, [...sidebar, files]));
    writeFileSync(join(outDir, "llms-full.txt"), llmsText());
  },
});
