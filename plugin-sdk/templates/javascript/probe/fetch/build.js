// Writes ../dist/plugin-name.wasm; takes about 20 seconds.

import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { componentize } from "@bytecodealliance/componentize-js";
import "../write-version.js";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

const { component } = await componentize({
  sourcePath: path("../src/plugin-fetch.js"),
  witPath: path("../wit"),
  worldName: "probe",
  // `http` stays: it is `fetch`. `fetch-event` is for servers.
  disableFeatures: ["fetch-event"],
});
await mkdir(path("../dist"), { recursive: true });
await writeFile(path("../dist/plugin-name.wasm"), component);
console.log(`dist/plugin-name.wasm: ${Math.ceil(component.length / 1024)} KiB`);
