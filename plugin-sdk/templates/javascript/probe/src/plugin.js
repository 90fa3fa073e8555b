// What the host calls. The check itself is in `check.js`, which knows nothing of WebAssembly and is tested as it stands.

import "./console.js";
import http from "external-tracking:plugin/http";
import { check, checkSettings, settingsSchema } from "./check.js";
import { version } from "./version.js";

export const description = {
  describe: () => ({
    name: "plugin-name",
    version,
    summary: "Checks a JSON health endpoint",
    settingsSchema: JSON.stringify(settingsSchema),
    wants: [],
    attributes: [],
  }),

  checkSettings({ settings }) {
    const faults = checkSettings(JSON.parse(settings));
    if (faults.length > 0) throw faults.map((fault) => ({ ...fault, attributes: [] }));
  },
};

/** The host reports a failed request as the `payload` of an error. */
function send(request) {
  try {
    return http.send(request);
  } catch (error) {
    throw error.payload ?? error;
  }
}

export const probes = {
  check(context) {
    try {
      return check(context, JSON.parse(context.settings), send);
    } catch (error) {
      // A fault of the plugin, not of the service.
      throw { tag: "internal", val: `${error.message ?? error}\n${error.stack ?? ""}` };
    }
  },
};
