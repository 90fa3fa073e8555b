// Posts one line about a group of alerts.

import { decode, encode } from "./text.js";

/** JSON Schema of the settings. What is marked `x-secret` never comes here: `{ $secret: POINTER }` does, by which the host opens a handle. */
export const settingsSchema = {
  type: "object",
  additionalProperties: false,
  required: ["url"],
  properties: {
    url: { type: "string", format: "uri", "x-secret": true, description: "Where to post." },
    prefix: { type: "string", default: "", description: "Stands before the line." },
  },
};

const text = (val) => [{ tag: "text", val }];
const secret = (val) => [{ tag: "secret", val }];

/**
 * The receipt. Throws `retryable` when another attempt may help, `permanent` when it will not. `open` makes a handle of a
 * secret, which the host writes into the request.
 */
export function notify(settings, notification, send, open) {
  let response;
  try {
    response = send({
      method: "POST",
      url: secret(open(settings.url.$secret)),
      // The same for each attempt at this message: the other side can tell a repetition.
      headers: [["content-type", text("application/json")], ["idempotency-key", text(notification.id)]],
      body: { tag: "bytes", val: encode(JSON.stringify({ text: line(settings, notification) })) },
      timeoutMs: null,
      auth: null,
      basicAuth: null,
      signature: null,
      options: [],
    });
  } catch (error) {
    if (typeof error?.tag !== "string") throw error;
    if (error.tag === "denied") throw { tag: "permanent", val: error.val };
    throw { tag: "retryable", val: { message: error.val, afterMs: null, attributes: [] } };
  }
  const { status } = response;
  if (status >= 200 && status <= 299) return { reference: null, answer: `${status} ${decode(response.body).slice(0, 200)}`.trim(), attributes: [] };
  const message = `status is ${status}, wanted 2xx`;
  if (status === 429 || status >= 500) throw { tag: "retryable", val: { message, afterMs: retryAfterMs(response), attributes: [] } };
  throw { tag: "permanent", val: message };
}

export function line({ prefix = "" }, { status, alerts }) {
  const word = status === "firing" ? "FIRING" : "RESOLVED";
  const each = alerts.map(({ name, serviceName, summary }) => `${serviceName}: ${name}${summary ? ` (${summary})` : ""}`);
  return `${prefix}${word} ${each.join("; ")}`;
}

function retryAfterMs({ headers }) {
  const [, value] = headers.find(([name]) => name === "retry-after") ?? [];
  return /^\d+$/.test(value) ? Number(value) * 1000 : null;
}
