/** The links of the built site, and `llms.txt`: all without a browser. */

import { expect, test } from "vitest";
import { BASE, fileAt, PAGES, read } from "./built-site.js";

const decode = (text: string) => text.replaceAll("&quot;", '"').replaceAll("&amp;", "&");
const attributes = (html: string, pattern: RegExp) =>
  [...html.matchAll(pattern)].map(([, value = ""]) => decode(value));

const anchors = new Map(PAGES.map((page) => [page, new Set(attributes(read(page), / id="([^"]*)"/g))]));

test.each(PAGES)("every link and anchor of %s leads somewhere", (page) => {
  const links = attributes(read(page), /<a [^>]*?href="([^"]*)"/g);
  const dead = links.filter((link) => {
    const { protocol, host, pathname, hash } = new URL(link, `site://site${BASE}${page}`);
    if (host !== "site") return protocol !== "https:";
    const file = fileAt(pathname);
    return file === undefined || (hash !== "" && anchors.get(file)?.has(decodeURIComponent(hash.slice(1))) !== true);
  });
  expect(dead).toEqual([]);
});

test("llms.txt lists every page once, relative to itself", () => {
  const listed = attributes(read("llms.txt"), /^- \[.*\]\((.*)\)$/gm);
  expect(listed.sort()).toEqual(PAGES.filter((page) => page !== "index.html"));
});

test("the links of llms-full.txt are pages", () => {
  const prose = read("llms-full.txt").replace(/^```[^]*?^```/gm, "");
  const links = attributes(prose.replaceAll(/!\[.*\]\(.*\)/g, ""), /\]\((?![a-z]+:|#)([^)#\s]+)/g);
  expect(links.length).toBeGreaterThan(100);
  expect(links.filter((link) => !PAGES.includes(link))).toEqual([]);
});
