/** The contract of `IssuerStore`, walked over every client of every store, with real servers. */

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { createJwksResolver } from "../../src/index.js";
import { startBackend } from "../support/servers.js";
import { engines, unavailable, type Opened } from "./engines.js";
import type { Race, Result } from "./member.js";
import { missingFor, startServer, type Server } from "../support/databases.js";

const PROCESSES = 6;
const ROUNDS = 3;
const INCREMENTS = 25;

for (const reason of unavailable) console.log(`SKIPPED: the tests of ${reason}`);

let members: ChildProcess[];

beforeAll(async () => {
  members = await Promise.all(Array.from({ length: PROCESSES }, startMember));
});
afterAll(() => {
  for (const member of members) member.kill();
});

for (const engine of engines) {
  const missing = missingFor(engine.server);
  if (missing !== undefined) console.log(`SKIPPED: the tests of ${engine.name}, because ${missing} is not installed`);

  describe.skipIf(missing !== undefined)(engine.name, () => {
    let server: Server = { url: "", stop: () => Promise.resolve() };
    let place: string;
    let opened: Opened;
    let tag: string;
    let tests = 0;
    /** In one hash slot of a cluster, as an issuer's names are. */
    const named = (name: string) => `${tag}${name}`;

    beforeAll(async () => {
      server = await startServer(engine.server);
      place = await engine.createPlace(server.url);
      opened = await engine.open(place);
    });
    beforeEach(() => {
      tag = `{test-${++tests}}:`;
    });
    afterAll(async () => {
      try {
        await opened.close();
      } finally {
        await server.stop(); // also where nothing could be opened: it would outlive this process
      }
    });

    test("an entry is absent, is set, is replaced and is deleted", async () => {
      const { store } = opened;
      expect(await store.get(named("a"))).toBe(undefined);
      await store.set(named("a"), "one");
      expect(await store.get(named("a"))).toBe("one");
      await store.set(named("a"), "two");
      expect(await store.get(named("a"))).toBe("two");
      await store.delete(named("a"));
      await store.delete(named("a"));
      expect(await store.get(named("a"))).toBe(undefined);
    });

    test("getMany gives texts in the order of the names, and undefined for what is absent", async () => {
      const { store } = opened;
      for (const name of ["a", "b", "c"]) await store.set(named(name), `text of ${name}`);
      const get = async (...names: string[]) => store.getMany?.(names.map(named));
      expect(await get("c", "x", "a", "b", "a")).toEqual([
        "text of c",
        undefined,
        "text of a",
        "text of b",
        "text of a",
      ]);
      expect(await get("x")).toEqual([undefined]);
      expect(await get()).toEqual([]);
    });

    test("names and texts come back as they were, whatever is in them", async () => {
      const { store } = opened;
      const odd = ["", " ", "'\"`;--", "?1 $1 :a @a %s", "{}[]*_%", "\\ \\u0041", "a\nb\tc\r", "ä ü 漢字 😀", "A", "a"];
      for (const text of odd) await store.set(named(text), text);
      expect(await store.getMany?.(odd.map(named))).toEqual(odd);
      for (const text of odd) {
        expect(await store.compareAndSet(named(text), text, `${text}!`)).toBe(true);
        expect(await store.get(named(text))).toBe(`${text}!`);
      }
    });

    test("a text of 1 MB is stored, compared and replaced", async () => {
      const { store } = opened;
      const long = "0123456789abcdé".repeat(70_000);
      await store.set(named("a"), long);
      expect(await store.compareAndSet(named("a"), `${long}x`, "other")).toBe(false);
      expect(await store.get(named("a"))).toBe(long);
      expect(await store.compareAndSet(named("a"), long, `${long}x`)).toBe(true);
      expect(await store.get(named("a"))).toBe(`${long}x`);
    });

    test("an entry expires by the store's clock, unless it is set again without a ttl", async () => {
      const { store } = opened;
      for (const name of ["a", "b"]) await store.set(named(name), "text", 400);
      await store.set(named("b"), "for good");
      await store.set(named("c"), "text", 60_000);
      vi.spyOn(Date, "now").mockReturnValue(Date.now() + 30 * 86_400_000);
      onTestFinished(() => void vi.restoreAllMocks());
      expect(await store.getMany?.(["a", "b", "c"].map(named))).toEqual(["text", "for good", "text"]);
      await sleep(500);
      expect(await store.getMany?.(["a", "b", "c"].map(named))).toEqual([undefined, "for good", "text"]);
      expect(await store.get(named("a"))).toBe(undefined);
    });

    test.each([0, -1, 1.5, NaN, Infinity])("a ttl of %d is refused", async (ttl) => {
      await expect(opened.store.set(named("a"), "text", ttl)).rejects.toThrow(TypeError);
      expect(await opened.store.get(named("a"))).toBe(undefined);
    });

    describe("compareAndSet", () => {
      test.each([
        { there: undefined, expected: undefined, isSet: true },
        { there: undefined, expected: "old", isSet: false },
        { there: "old", expected: undefined, isSet: false },
        { there: "old", expected: "old", isSet: true },
        { there: "old", expected: "Old", isSet: false },
        { there: "old", expected: "old ", isSet: false },
        { there: "", expected: undefined, isSet: false },
        { there: "", expected: "", isSet: true },
      ])("of $there, where $expected is expected: $isSet", async ({ there, expected, isSet }) => {
        const { store } = opened;
        if (there !== undefined) await store.set(named("a"), there);
        expect(await store.compareAndSet(named("a"), expected, "new")).toBe(isSet);
        expect(await store.get(named("a"))).toBe(isSet ? "new" : there);
      });

      test("takes an expired entry for an absent one, and what it sets stays", async () => {
        const { store } = opened;
        for (const name of ["a", "b"]) await store.set(named(name), "old", 300);
        expect(await store.compareAndSet(named("a"), undefined, "new")).toBe(false);
        expect(await store.compareAndSet(named("b"), "old", "new")).toBe(true);
        await sleep(400);
        expect(await store.compareAndSet(named("a"), "old", "new")).toBe(false);
        expect(await store.compareAndSet(named("a"), undefined, "newer")).toBe(true);
        await sleep(400);
        expect(await store.getMany?.(["a", "b"].map(named))).toEqual(["newer", "new"]); // without a ttl
      });

      test("with a ttl, what it sets expires", async () => {
        const { store } = opened;
        await store.set(named("b"), "old");
        expect(await store.compareAndSet(named("a"), undefined, "new", 300)).toBe(true);
        expect(await store.compareAndSet(named("b"), "old", "new", 300)).toBe(true);
        expect(await store.getMany?.(["a", "b"].map(named))).toEqual(["new", "new"]);
        await expect.poll(() => store.getMany?.(["a", "b"].map(named))).toEqual([undefined, undefined]);
        await expect(store.compareAndSet(named("a"), undefined, "new", 0)).rejects.toThrow(TypeError);
      });

      test("of 20 at once, one sets", async () => {
        const { store } = opened;
        for (const expected of [undefined, "before"]) {
          if (expected !== undefined) await store.set(named("a"), expected);
          else await store.delete(named("a"));
          const all = Array.from({ length: 20 }, async (_, i) =>
            store.compareAndSet(named("a"), expected, `text ${i}`),
          );
          const results = await Promise.all(all);
          expect(results.filter(Boolean)).toHaveLength(1);
          expect(await store.get(named("a"))).toBe(`text ${results.indexOf(true)}`);
        }
      });
    });

    test(`${PROCESSES} processes that start on an empty database make one entry, and lose no update`, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const race: Race = {
          engine: engine.name,
          place: await engine.createPlace(server.url),
          name: named(String(round)),
          increments: INCREMENTS,
          at: Date.now() + 300,
        };
        const results = await Promise.all(members.map((member) => run(member, race)));
        expect(results.map(({ error }) => error)).toEqual(members.map(() => undefined));
        expect(results.filter(({ isFirst }) => isFirst)).toHaveLength(1);
        const afterwards = await engine.open(race.place);
        onTestFinished(() => void afterwards.close());
        expect(await afterwards.store.get(race.name)).toBe(String(PROCESSES * INCREMENTS));
      }
    });

    test("expired entries are removed", async () => {
      await opened.store.set(named("stays"), "text");
      for (let i = 0; i < 1_100; i++) await opened.store.set(named(String(i)), "text", i === 0 ? 30_000 : 1);
      await sleep(10);
      const another = await engine.open(place);
      onTestFinished(() => void another.close());
      // Redis does it by itself. Otherwise 1000 go with each write, until none is left over.
      for (let i = 0; i < 2; i++) await another.store.set(named("written"), "text", 30_000);
      await expect.poll(() => another.count(tag), { timeout: 10_000 }).toBe(3);
    });

    test("a key set is shared through it", async () => {
      const backend = await startBackend();
      const jwks = { store: opened.store };
      await createJwksResolver(backend.baseUrl, jwks).ready();
      const entry = `agent-identity-auth:jwks:${backend.baseUrl}/wham/agent-identities/jwks`;
      await expect.poll(() => opened.store.get(entry)).toContain('"keys"');
      backend.answer = (_req, res) => res.writeHead(500).end();
      const resolver = createJwksResolver(backend.baseUrl, jwks);
      await resolver.ready();
      expect(resolver.status()).toMatchObject({ kids: ["key-1"] });
      expect(backend.fetches).toBe(1);
    });

    test("every call rejects when the database is gone", async () => {
      let { store } = opened;
      if (engine.server !== "file") await server.stop();
      else {
        const file = await engine.createPlace(server.url);
        writeFileSync(file, "not a database");
        const damaged = await engine.open(file);
        onTestFinished(() => void damaged.close());
        store = damaged.store;
      }
      await expect(store.get(named("a"))).rejects.toThrow(Error);
      await expect(store.getMany?.([named("a")])).rejects.toThrow(Error);
      await expect(store.set(named("a"), "text")).rejects.toThrow(Error);
      await expect(store.set(named("a"), "text", 1_000)).rejects.toThrow(Error);
      await expect(store.delete(named("a"))).rejects.toThrow(Error);
      await expect(store.compareAndSet(named("a"), undefined, "text")).rejects.toThrow(Error);
      await expect(store.compareAndSet(named("a"), "text", "text")).rejects.toThrow(Error);
    });
  });
}

async function startMember(): Promise<ChildProcess> {
  const member = fork(join(import.meta.dirname, "member.ts"), { execArgv: ["--no-warnings", "--import", "tsx"] });
  await once(member, "message");
  return member;
}

async function run(member: ChildProcess, race: Race): Promise<Result> {
  member.send(race);
  const [result] = (await once(member, "message")) as [Result];
  return result;
}
