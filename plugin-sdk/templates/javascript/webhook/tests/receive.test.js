import assert from "node:assert/strict";
import { test } from "node:test";
import { receive } from "../src/receive.js";
import { encode } from "../src/text.js";

const context = { service: "shop" };
const settings = { secret: { $secret: "/secret" } };
const delivery = (body) => ({ headers: [["webhook-id", "msg_1"]], body: encode(body) });
const accepted = () => {};

const refusal = (...given) => {
  try {
    receive(context, settings, ...given);
  } catch (error) {
    return error;
  }
};

test("a signed delivery is an event", () => {
  const verified = [];
  const outage = delivery('{"type": "outage.started", "data": {"region": "eu"}}');
  const event = receive(context, settings, outage, (...given) => verified.push(given));
  assert.deepEqual(verified, [["standard-webhooks", settings.secret, outage]]);
  assert.deepEqual([event.id, event.kind, event.payload], ["msg_1", "outage.started", '{"region":"eu"}']);
  assert.equal(event.report.status, "unhealthy");
  assert.equal(receive(context, settings, delivery('{"type": "other"}'), accepted).report, null);
});

test("a stranger is turned away before anything is read", () => {
  const mismatch = () => {
    throw { tag: "mismatch" };
  };
  assert.equal(refusal(delivery("not JSON"), mismatch).tag, "unauthenticated");
});

test("what is signed and not understood is malformed", () => {
  assert.deepEqual(refusal(delivery("not JSON"), accepted), { tag: "malformed", val: "the body is not JSON" });
  assert.deepEqual(refusal(delivery("{}"), accepted), { tag: "malformed", val: "there is no `type`" });
});
