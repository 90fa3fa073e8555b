// Before each build: the version in package.json becomes the one that `describe` returns.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
writeFileSync(new URL("src/version.js", import.meta.url), `export const version = ${JSON.stringify(version)};\n`);
mkdirSync(new URL("dist", import.meta.url), { recursive: true });
