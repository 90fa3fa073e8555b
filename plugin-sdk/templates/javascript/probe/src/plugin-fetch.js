// The same check with `fetch`, for code and packages that want it.

import { checkSettings, judge, settingsSchema, url } from "./check.js";
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

export const probes = {
  async check(context) {
    const settings = JSON.parse(context.settings);
    const headers = { accept: "application/json" };
    // Names a credential of the service: the host takes the header out and puts the credential in.
    if (context.credentials.includes("default")) headers["x-extrack-auth"] = "default";
    let response;
    try {
      response = await fetch(url(context.service, settings), { headers });
    } catch {
      // `fetch` hides the reason. The host fills in the failure that is left out here.
      return { status: "error", metrics: [], attributes: [] };
    }
    return judge(response.status, await response.text(), settings);
  },
};
