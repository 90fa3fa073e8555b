// Asks a health endpoint and holds one field of its JSON answer against what it should be.

import { decode } from "./text.js";

/** JSON Schema of the settings: forms, faults and documentation follow from it. */
export const settingsSchema = {
  type: "object",
  additionalProperties: false,
  properties: {
    path: { type: "string", pattern: "^/", description: "Path to ask for; by default the service's health endpoint, or /health." },
    field: { type: "string", minLength: 1, default: "status", description: "Field of the answer to look at." },
    wanted: { type: "string", default: "ok", description: "Value of the field when all is well." },
  },
};

/** Checks what a schema can't express. Each fault is `{ path, message }`, the path a JSON Pointer into the settings. */
export function checkSettings(settings) {
  return settings.field?.trim() === "" ? [{ path: "/field", message: "is blank" }] : [];
}

/** `send` is the host's; a failed request is thrown as `{ tag, val }`. */
export function check(context, settings, send) {
  let response;
  try {
    response = send({
      method: "GET",
      url: [{ tag: "text", val: url(context.service, settings) }],
      headers: [["accept", [{ tag: "text", val: "application/json" }]]],
      body: null,
      timeoutMs: null,
      // The host adds the credential; the plugin never sees it.
      auth: context.credentials.includes("default") ? "default" : null,
      basicAuth: null,
      signature: null,
      options: [],
    });
  } catch (error) {
    if (typeof error?.tag !== "string") throw error;
    // No answer is data too: `dns`, `connect`, `tls`, `timeout` … and what happened.
    return observation("error", { failure: failure(kinds.has(error.tag) ? error.tag : "protocol", error.val) });
  }
  return judge(response.status, decode(response.body), settings);
}

export function url(service, settings) {
  const attribute = service.attributes.find(({ key }) => key === "health-endpoint");
  const path = settings.path ?? attribute?.value.val ?? "/health";
  return service.baseUrl.replace(/\/+$/, "") + path;
}

/** Names the value found beside the value wanted. */
export function judge(status, body, { field = "status", wanted = "ok" }) {
  const unhealthy = (message) => observation("unhealthy", { httpStatus: status, failure: failure("assertion", message) });
  if (status < 200 || status > 299) return unhealthy(`status is ${status}, wanted 2xx`);
  let answer;
  try {
    answer = JSON.parse(body);
  } catch {
    return unhealthy("the answer is not JSON");
  }
  const found = answer?.[field];
  if (found !== wanted) return unhealthy(`\`${field}\` is ${JSON.stringify(found) ?? "missing"}, wanted ${JSON.stringify(wanted)}`);
  return observation("healthy", { httpStatus: status });
}

function observation(status, { httpStatus = null, failure = null, metrics = [] }) {
  // Without a latency the host takes the time of the network calls. A metric: { key: "items", value: { tag: "integer", val: 3 } }
  return { status, failure, latencyUs: null, httpStatus, metrics, attributes: [] };
}

const kinds = new Set(["dns", "connect", "tls", "timeout", "protocol", "denied"]);

function failure(kind, message) {
  return { kind: { tag: kind }, message, attributes: [] };
}
