// What the host calls. The rule itself is in `evaluate.js`, which knows nothing of WebAssembly and is tested as it stands.

import "./console.js";
import history from "external-tracking:plugin/history";
import { evaluate, lookBackMs, settingsSchema } from "./evaluate.js";
import { version } from "./version.js";

export const description = {
  describe: () => ({
    name: "plugin-name",
    version,
    summary: "Most answers came quickly enough",
    settingsSchema: JSON.stringify(settingsSchema),
    wants: [],
    attributes: [],
  }),

  // The schema finds all faults.
  checkSettings() {},
};

export const rules = {
  lookBack: (settings) => ({ lookBackMs: lookBackMs(JSON.parse(settings)), attributes: [] }),

  evaluate(context) {
    try {
      return evaluate(JSON.parse(context.settings), history, context);
    } catch (error) {
      throw { tag: "internal", val: `${error.message ?? error}\n${error.stack ?? ""}` };
    }
  },
};
