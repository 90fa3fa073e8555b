// `console` writes to the run's log. QuickJS has none of its own.

import log from "external-tracking:plugin/log";

const text = (part) => (typeof part === "string" ? part : part instanceof Error ? `${part}` : JSON.stringify(part) ?? String(part));
const at = (level) => (...parts) => log.write(level, parts.map(text).join(" "));

globalThis.console ??= { debug: at("debug"), log: at("info"), info: at("info"), warn: at("warn"), error: at("error") };
