/** The built site in a real browser: Debian's Chromium. */

import { existsSync } from "node:fs";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PAGES, serve } from "./built-site.js";

const CHROMIUM = "/usr/bin/chromium";
const isInstalled = existsSync(CHROMIUM);
if (!isInstalled) console.log("SKIPPED: the site in a browser, because chromium is not installed");

/** What a reader types, and the pages of which one answers it. */
const QUESTIONS: readonly [question: string, answers: readonly string[]][] = [
  ["401", ["errors", "why-refused"]],
  ["express", ["readme", "getting-started", "frameworks"]],
  ["rotate key", ["your-own-backend", "outages", "runbook"]],
  ["redis", ["stores"]],
  ["proxy", ["proxies"]],
  ["metrics", ["metrics-and-logs"]],
  ["clock", ["runbook", "operations", "why-refused"]],
  ["mcp", ["mcp"]],
  ["workers", ["runtimes"]],
  ["test my routes", ["testing"]],
];

describe.skipIf(!isInstalled)("in Chromium", () => {
  let site: Awaited<ReturnType<typeof serve>>;
  let browser: Browser;

  beforeAll(async () => {
    site = await serve();
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
    });
  });

  afterAll(async () => {
    await browser.close();
    site.stop();
  });

  /** Loads a page, until its script runs. */
  async function open(page: Page, path: string): Promise<void> {
    await page.goto(site.url + path);
    await page.waitForFunction(() => "__vue_app__" in (document.querySelector("#app") ?? {}));
  }

  test("every page has a title, fits a phone, and asks nobody else for anything", async () => {
    const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
    const page = await context.newPage();
    const problems: string[] = [];
    let path = "";
    const note = (problem: string) => problems.push(`${path}: ${problem}`);
    page.on("console", (message) => message.type() === "error" && note(message.text()));
    page.on("pageerror", (error) => note(error.message));
    page.on("requestfailed", (request) => {
      const reason = request.failure()?.errorText ?? "";
      if (reason !== "net::ERR_ABORTED") note(`${request.url()}: ${reason}`); // the next page ends what this one fetches ahead
    });
    page.on("response", (response) => response.status() >= 400 && note(`${response.url()}: ${response.status()}`));
    page.on("request", (request) => {
      if (!/^data:/.test(request.url()) && !request.url().startsWith(site.url)) note(`asks ${request.url()}`);
    });
    for (path of PAGES) {
      await open(page, encodeURI(path));
      if ((await page.locator("h1").count()) !== 1) note("not one title");
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      if (width > 390) note(`${width} pixels wide`);
    }
    expect(problems).toEqual([]);
    await context.close();
  });

  test.each(QUESTIONS)("the search answers: %s", async (question, answers) => {
    const page = await browser.newPage();
    await open(page, "index.html");
    await page.locator(".VPNavBarSearch button").click();
    await page.locator(".search-input").fill(question);
    const results = page.locator(".results .result");
    await results.first().waitFor();
    await page.waitForTimeout(500); // the list of the last letter takes the place of earlier ones
    const links = await results.evaluateAll((found) => found.map((link) => link.getAttribute("href") ?? ""));
    const first = links.slice(0, 5).map((link) => /([\w-]+)\.html/.exec(link)?.[1]);
    expect(
      first.some((name) => answers.includes(name ?? "")),
      links.slice(0, 5).join("\n"),
    ).toBe(true);
    await page.close();
  });

  test("dark mode can be switched on and off, and outlasts the page", async () => {
    const page = await browser.newPage({ colorScheme: "light" });
    const isDark = () => page.evaluate(() => document.documentElement.classList.contains("dark"));
    await open(page, "frameworks.html");
    expect(await isDark()).toBe(false);
    await page.locator(".VPNavBarAppearance .VPSwitchAppearance").click();
    expect(await isDark()).toBe(true);
    await open(page, "options.html");
    expect(await isDark()).toBe(true);
    await page.locator(".VPNavBarAppearance .VPSwitchAppearance").click();
    expect(await isDark()).toBe(false);
    await page.close();
  });
});
