// Posts one line about a group of alerts.

import { decode, encode } from "./text.js";

/** JSON Schema of the settings. What is marked `x-secret` never comes here: a placeholder does, which the host replaces. */
export const settingsSchema = {
  type: "object",
  additionalProperties: false,
  required: ["url"],
  properties: {
    url: { type: "string", format: "uri", "x-secret": true, description: "Where to post." },
    prefix: { type: "string", default: "", description: "Stands before the line." },
  },
};

/** The receipt. Throws `retryable` when another attempt may help, `permanent` when it will not. */
export function notify(settings, notification, send) {
  let response;
  try {
    response = send({
      method: "POST",
      url: settings.url,
      // The same for each attempt at this message: the other side can tell a repetition.
      headers: [["content-type", "application/json"], ["idempotency-key", notification.id]],
      body: encode(JSON.stringify({ text: line(settings, notification) })),
      timeoutMs: null,
      auth: null,
      options: [],
    });
  } catch (error) {
    if (typeof error?.tag !== "string") throw error;
    if (error.tag === "denied") throw { tag: "permanent", val: error.val };
    throw { tag: "retryable", val: { message: error.val, afterMs: null } };
  }
  const { status } = response;
  if (status >= 200 && status <= 299) return { reference: null, answer: `${status} ${decode(response.body).slice(0, 200)}`.trim() };
  const message = `status is ${status}, wanted 2xx`;
  if (status === 429 || status >= 500) throw { tag: "retryable", val: { message, afterMs: retryAfterMs(response) } };
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
