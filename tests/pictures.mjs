#!/usr/bin/env node
// Takes the pictures of the README and the docs from the demo: `cargo build && node tests/pictures.mjs`.
// EXTRACK_BIN names another program than that of the debug build; a folder as argument takes the place of `runtime/docs`.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";

import { ask, contextOf, launch, open, signIn, until } from "./fixtures/browser/browser.mjs";

const root = new URL("..", import.meta.url).pathname;
const folder = process.argv[2] ?? join(root, "runtime/docs");
const program = process.env.EXTRACK_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/extrack");
const STORY_MS = 300_000;

// Name, page, window, theme. The first is the one of the README.
const PICTURES = [
  ["overview.png", "/", [1440, 900], "light"],
  ["service.png", "/services/payments-api", [1440, 900], "light"],
  ["alerts.png", "/alerts", [1440, 900], "dark"],
  ["sql.png", "/sql?q=" + encodeURIComponent("SELECT service, count(*) AS runs, round(avg(latency_ms), 1) AS ms FROM observations GROUP BY ALL ORDER BY ms DESC"), [1440, 900], "light"],
  ["phone.png", "/", [390, 844], "dark"],
];

// The demo prints where it listens, and its token.
async function startDemo() {
  const demo = spawn(program, ["demo", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((_, reject) => {
    demo.once("error", (error) => reject(new Error(`\`${program}\` can't run: ${error.message}`)));
    demo.once("exit", (code) => reject(new Error(`\`${program}\` ended with ${code}`)));
  });
  ended.catch(() => {});
  const printed = (async () => {
    for await (const line of createInterface({ input: demo.stdout })) {
      const [, name, value] = /^\s*(page|token)\s+(\S+)/.exec(line) ?? [];
      if (name === "page") process.env.EXTRACK_URL = value;
      if (name === "token") process.env.EXTRACK_TOKEN = value;
      if (process.env.EXTRACK_URL && process.env.EXTRACK_TOKEN) return;
    }
  })();
  delete process.env.EXTRACK_URL;
  delete process.env.EXTRACK_TOKEN;
  await Promise.race([printed, ended]);
  demo.stdout.resume();
  return demo;
}

// Something to see: runs of some minutes, an alert that fires and one that is over.
async function waitForAStory(page) {
  await until(page, "open and resolved alerts", async () => {
    const [firing, resolved, services] = await Promise.all([
      ask(page, "/api/v1/alerts?state=firing"), ask(page, "/api/v1/alerts?state=resolved"), ask(page, "/api/v1/services"),
    ]);
    const isFailing = services.items.some(({ slug, status }) => slug === "payments-api" && status !== "healthy");
    return firing.items.length >= 2 && resolved.items.length >= 2 && isFailing;
  }, STORY_MS);
}

const demo = await startDemo();
const browser = await launch();
try {
  const page = await (await contextOf(browser)).newPage();
  await signIn(page);
  await waitForAStory(page);
  for (const [name, path, [width, height], theme] of PICTURES) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height });
    await open(page, path);
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: join(folder, name), animations: "disabled" });
    console.log(join(folder, name));
  }
} finally {
  await browser.close();
  demo.kill("SIGTERM");
}
