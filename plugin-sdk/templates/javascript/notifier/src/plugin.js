// What the host calls. The message itself is made in `notify.js`, which knows nothing of WebAssembly and is tested as it stands.

import "./console.js";
import http from "external-tracking:plugin/http";
import secrets from "external-tracking:plugin/secrets";
import { notify, settingsSchema } from "./notify.js";
import { version } from "./version.js";

export const description = {
  describe: () => ({
    name: "plugin-name",
    version,
    summary: "Posts one line of JSON",
    settingsSchema: JSON.stringify(settingsSchema),
    wants: [],
    attributes: [],
  }),

  // The schema finds all faults.
  checkSettings() {},
};

/** The host reports a failed request as the `payload` of an error. */
function send(request) {
  try {
    return http.send(request);
  } catch (error) {
    throw error.payload ?? error;
  }
}

export const notifiers = {
  notify(context, notification) {
    try {
      return notify(JSON.parse(context.settings), notification, send, secrets.open);
    } catch (error) {
      if (error?.tag === "retryable" || error?.tag === "permanent") throw error;
      throw { tag: "permanent", val: `${error.message ?? error}\n${error.stack ?? ""}` };
    }
  },
};
