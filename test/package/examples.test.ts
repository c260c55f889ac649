import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const run = promisify(execFile);
const tsx = ["--import", "tsx", "examples/start.ts"];

test("npm start -- --once makes three calls and exits 0", async () => {
  const { stdout } = await run(process.execPath, [...tsx, "--once"], { env: { ...process.env, PORT: "0" } });
  expect(stdout.match(/as it should be/g)).toHaveLength(3);
  expect(stdout).not.toContain("WRONG");
  expect(stdout).toMatch(/200 OK[^]+401 Unauthorized[^]+403 Forbidden/);
});

test("its curl lines work as pasted; it takes another port if need be, and Ctrl-C ends it cleanly", async () => {
  const occupant = createServer().listen(0, "127.0.0.1");
  await once(occupant, "listening");
  onTestFinished(() => void occupant.close());
  const taken = String((occupant.address() as AddressInfo).port);

  const example = spawn(process.execPath, tsx, { env: { ...process.env, PORT: taken } });
  onTestFinished(() => void example.kill("SIGKILL"));
  let output = "";
  for await (const chunk of example.stdout.setEncoding("utf8")) {
    output += String(chunk);
    if (output.includes("Ctrl-C")) break;
  }
  expect(output).toContain(`Port ${taken} is taken: taking another.`);

  const lines = output.match(/curl .*/g) ?? [];
  const answers = await Promise.all(lines.map((line) => run("sh", ["-c", `${line} --silent`])));
  expect(answers.map(({ stdout }) => stdout.slice(0, 12))).toEqual(["HTTP/1.1 200", "HTTP/1.1 401", "HTTP/1.1 403"]);

  const headerFile = /@(\S+)/.exec(output)?.[1] ?? "";
  expect(existsSync(headerFile)).toBe(true);
  example.kill("SIGINT");
  const [exitCode] = (await once(example, "exit")) as [number];
  expect(exitCode).toBe(0);
  expect(existsSync(headerFile)).toBe(false);
});

test.each(["mcp-server", "fastify", "hono", "koa"])(
  "examples/%s.ts: its curl lines get in, no one without the token does, and Ctrl-C ends it cleanly",
  async (name) => {
    const example = spawn(process.execPath, ["--import", "tsx", `examples/${name}.ts`], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, PORT: "0" },
    });
    onTestFinished(() => void example.kill("SIGKILL"));
    let output = "";
    for await (const chunk of example.stdout.setEncoding("utf8")) {
      output += String(chunk);
      if (/http:\/\/\S+\n/.test(output)) break;
    }
    const headerFile = /@(\S+)/.exec(output)?.[1] ?? "";
    const { mode } = statSync(headerFile);
    expect((mode & 0o777).toString(8)).toBe("600");

    const lines = output.match(/curl .*/g) ?? [];
    expect(lines).not.toEqual([]);
    for (const line of lines) {
      const { stdout: withToken } = await run("sh", ["-c", `${line} --silent`]);
      expect(withToken).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*\bagent-[0-9a-f-]{36}\b/);
      const { stdout: without } = await run("sh", ["-c", `${line.replace(`-H @${headerFile}`, "")} --silent`]);
      expect(without).toMatch(/^HTTP\/1.1 401 Unauthorized\r\n[^]*"code":"credentials_missing"/);
    }

    example.kill("SIGINT");
    expect(await once(example, "exit")).toEqual([0, null]);
    expect(existsSync(headerFile)).toBe(false);
  },
);
