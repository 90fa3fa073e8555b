// What the host calls. What becomes of a delivery is in `receive.js`, which knows nothing of WebAssembly and is tested as it stands.

import "./console.js";
import secrets from "external-tracking:plugin/secrets";
import signatures from "external-tracking:plugin/signatures";
import { receive, settingsSchema } from "./receive.js";
import { version } from "./version.js";

export const description = {
  describe: () => ({
    name: "plugin-name",
    version,
    summary: "Takes in signed JSON",
    settingsSchema: JSON.stringify(settingsSchema),
    wants: [],
    attributes: [],
  }),

  // The schema finds all faults.
  checkSettings() {},
};

/** The host holds the secret and compares; what is wrong comes as the `payload` of an error. */
function verify(scheme, secret, { headers, body }) {
  try {
    signatures.verify(scheme, secrets.open(secret.$secret), headers, body, null);
  } catch (error) {
    throw error.payload ?? error;
  }
}

export const webhooks = {
  receive(context, request) {
    try {
      return { events: [receive(context, JSON.parse(context.settings), request, verify)], answer: null, attributes: [] };
    } catch (error) {
      if (error?.tag === "unauthenticated" || error?.tag === "malformed") throw error;
      throw { tag: "internal", val: `${error.message ?? error}\n${error.stack ?? ""}` };
    }
  },
};
