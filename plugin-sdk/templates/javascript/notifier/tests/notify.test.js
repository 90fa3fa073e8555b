import assert from "node:assert/strict";
import { test } from "node:test";
import { line, notify } from "../src/notify.js";
import { decode } from "../src/text.js";

const alerts = [{ name: "Down", serviceName: "Shop", summary: "status is 503" }];
const notification = { id: "n1", status: "firing", alerts };
const settings = { url: { $secret: "/url" }, prefix: "[extrack] " };
const open = (pointer) => `handle of ${pointer}`;
const answering = (status, headers = []) => () => ({ status, headers, body: new Uint8Array() });

test("posts one line, and the key of the message", () => {
  const asked = [];
  const receipt = notify(settings, notification, (request) => (asked.push(request), answering(204)()), open);
  assert.equal(receipt.answer, "204");
  const [{ url, headers, body }] = asked;
  assert.deepEqual(url, [{ tag: "secret", val: "handle of /url" }]);
  assert.deepEqual(headers.find(([name]) => name === "idempotency-key"), ["idempotency-key", [{ tag: "text", val: "n1" }]]);
  assert.deepEqual(JSON.parse(decode(body.val)), { text: "[extrack] FIRING Shop: Down (status is 503)" });
});

test("a failure that may pass is retryable", () => {
  const failing = (send) => {
    try {
      notify(settings, notification, send, open);
    } catch (error) {
      return error;
    }
  };
  assert.deepEqual(failing(answering(429, [["retry-after", "7"]])), {
    tag: "retryable",
    val: { message: "status is 429, wanted 2xx", afterMs: 7000, attributes: [] },
  });
  assert.equal(failing(answering(503)).tag, "retryable");
  assert.deepEqual(failing(answering(404)), { tag: "permanent", val: "status is 404, wanted 2xx" });
  const thrown = (error) => failing(() => {
    throw error;
  });
  assert.equal(thrown({ tag: "timeout", val: "timed out" }).tag, "retryable");
  assert.equal(thrown({ tag: "denied", val: "no" }).tag, "permanent");
  assert.ok(thrown(new TypeError("a fault of ours")) instanceof TypeError);
});

test("a resolved message begins with RESOLVED", () => {
  assert.equal(line({}, { status: "resolved", alerts: [{ name: "Down", serviceName: "Shop", summary: "" }] }), "RESOLVED Shop: Down");
});
