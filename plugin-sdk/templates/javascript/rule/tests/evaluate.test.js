import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluate, lookBackMs } from "../src/evaluate.js";

const history = (...latencies) => ({
  samples: (last) => latencies.slice(-last).map((latency) => ({ latencyUs: latency === null ? null : latency * 1000 })),
});

test("is breached by more slow runs than wanted", () => {
  const { tag, val } = evaluate({ slowMs: 100, share: 25 }, history(50, 150, 50, 150));
  assert.equal(tag, "breached");
  assert.equal(val.summary, "2 of the last 4 runs took longer than 100 ms, which is 50.0 %, wanted at most 25 %");
  assert.deepEqual([val.value, val.wanted], [50, 25]);
});

test("looks at the last runs alone, and at those that were measured", () => {
  assert.equal(evaluate({ slowMs: 100, runs: 3 }, history(500, 500, 50, null, 50)).tag, "ok");
});

test("has no opinion before anything was measured", () => {
  assert.deepEqual(evaluate({ slowMs: 100 }, history(null)), { tag: "no-opinion", val: "no run was measured yet" });
});

test("asks for the history it needs", () => {
  assert.deepEqual([lookBackMs({}), lookBackMs({ window: 60 })], [3_600_000, 60_000]);
});
