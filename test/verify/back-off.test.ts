import { expect, test } from "vitest";
import { BackOff } from "../../src/verify/keys/back-off.js";

test("who waits as many whole seconds as it is told finds the delay over", () => {
  for (let i = 0; i < 2_000; i++) {
    const backOff = new BackOff();
    const now = Math.random() * 1e6;
    for (let failures = 0; failures <= i % 8; failures++) backOff.failed(now);
    const seconds = Math.ceil(backOff.remaining(now) / 1_000);
    expect(seconds).toBeLessThanOrEqual(30);
    expect(backOff.remaining(now + seconds * 1_000)).toBe(0);
  }
  const endpointAsked = new BackOff();
  endpointAsked.failed(0.25, 7_000);
  expect(endpointAsked.remaining(0.25)).toBeLessThanOrEqual(7_000);
});
