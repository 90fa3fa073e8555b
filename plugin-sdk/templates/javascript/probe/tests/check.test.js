import assert from "node:assert/strict";
import { test } from "node:test";
import { check, checkSettings } from "../src/check.js";
import { encode } from "../src/text.js";

const service = { slug: "shop", name: "Shop", baseUrl: "https://shop.example/", attributes: [] };
const context = { service, settings: "{}", timeoutMs: 5000, previous: null, credentials: ["default"] };
const answering = (status, body) => () => ({ status, headers: [], body: encode(body) });

test("asks the health endpoint with the service's credential", () => {
  const asked = [];
  const answer = answering(200, '{"status": "ok"}');
  const found = check(context, {}, (request) => (asked.push(request), answer()));
  assert.deepEqual([found.status, found.httpStatus, found.failure], ["healthy", 200, null]);
  assert.deepEqual([asked.length, asked[0].url[0].val, asked[0].auth], [1, "https://shop.example/health", "default"]);
});

test("names the value found beside the value wanted", () => {
  for (const [status, body, message] of [
    [503, "{}", "status is 503, wanted 2xx"],
    [200, "<html>", "the answer is not JSON"],
    [200, "{}", '`status` is missing, wanted "ok"'],
    [200, '{"status": "degradé"}', '`status` is "degradé", wanted "ok"'],
  ]) {
    const found = check(context, {}, answering(status, body));
    assert.deepEqual([found.status, found.failure.message], ["unhealthy", message]);
  }
});

test("settings say where and what", () => {
  const asked = [];
  const settings = { path: "/v1/state", field: "state", wanted: "up" };
  const found = check(context, settings, (request) => (asked.push(request.url[0].val), answering(200, '{"state": "up"}')()));
  assert.deepEqual([found.status, asked], ["healthy", ["https://shop.example/v1/state"]]);
  assert.deepEqual(checkSettings({ field: " " }), [{ path: "/field", message: "is blank" }]);
});

test("no answer is an observation, a fault of ours is not", () => {
  const refused = () => {
    throw { tag: "connect", val: "connection refused" };
  };
  const found = check(context, {}, refused);
  assert.deepEqual([found.status, found.failure], ["error", { kind: { tag: "connect" }, message: "connection refused", attributes: [] }]);
  assert.throws(() => check(context, {}, () => undefined.status), TypeError);
});
