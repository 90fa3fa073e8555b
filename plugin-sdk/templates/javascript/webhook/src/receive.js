// Takes in JSON that its sender has signed, and makes an event of it.

import { decode } from "./text.js";

/** JSON Schema of the settings. What is marked `x-secret` never comes here: `{ $secret: POINTER }` does, by which the host opens a handle. */
export const settingsSchema = {
  type: "object",
  additionalProperties: false,
  required: ["secret"],
  properties: {
    secret: { type: "string", minLength: 1, "x-secret": true, description: "Shared with the sender." },
  },
};

/** The event. Throws `unauthenticated` when the sender is not known, `malformed` when what it sent is not. */
export function receive({ service }, { secret }, request, verify) {
  // First of all: until this said yes, the delivery may be anybody's.
  try {
    verify("standard-webhooks", secret, request);
  } catch (error) {
    if (typeof error?.tag !== "string") throw error;
    throw { tag: "unauthenticated", val: `${error.tag}: ${error.val ?? "another secret, or changed on its way"}` };
  }
  let body;
  try {
    body = JSON.parse(decode(request.body));
  } catch {
    throw { tag: "malformed", val: "the body is not JSON" };
  }
  const kind = body?.type;
  if (typeof kind !== "string") throw { tag: "malformed", val: "there is no `type`" };
  return {
    // What is sent again has the same id, and is kept once.
    id: request.headers.find(([name]) => name === "webhook-id")?.[1] ?? null,
    kind,
    tsMs: null,
    summary: `${kind} of ${service}`,
    payload: JSON.stringify(body.data ?? null),
    attributes: [],
    report: report(kind),
  };
}

/** Makes a status of what the service reports of its own health. */
function report(kind) {
  const of = (status, failure) => ({ status, failure, metrics: [], attributes: [] });
  if (kind === "outage.ended") return of("healthy", null);
  if (kind !== "outage.started") return null;
  return of("unhealthy", { kind: { tag: "assertion" }, message: "the service reports that it is down", attributes: [] });
}
