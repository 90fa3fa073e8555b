// Keeps a page fresh: swaps the fragments that the server sends, and says how long ago things happened.
// Without it the page is complete, only as old as its last load.
"use strict";

const RELOAD_AFTER_MS = 1500;

const page = document.body;

// --- moments ---

function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

function tellTimes(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-ago], time[data-for]")) {
    const text = span(now - Date.parse(time.dateTime));
    const told = "ago" in time.dataset ? (text === "0 s" ? "now" : `${text} ago`) : `for ${text}`;
    if (time.textContent !== told) time.textContent = told;
  }
}

// --- fragments ---

function swap(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  tellTimes(template.content);
  for (const fresh of [...template.content.children]) {
    const old = document.getElementById(fresh.id);
    if (fresh.dataset.status) {
      placeRow(fresh, old);
    } else if (old) {
      old.replaceWith(fresh);
    }
  }
}

// A row stands in the group of its status, by name.
function placeRow(fresh, old) {
  const table = document.querySelector("table.services");
  if (!table) return;
  const only = table.dataset.only;
  const status = fresh.dataset.status;
  if (only && (old ? old.dataset.status : null) !== status && (old || status === only)) reloadSoon();
  if (old && old.dataset.status === status) {
    old.replaceWith(fresh);
    return;
  }
  if (!old && !("complete" in table.dataset)) return;
  const group = table.querySelector(`tbody[data-group="${status}"]`);
  if (!group) return;
  const after = [...group.rows].find((row) => row.dataset.name > fresh.dataset.name);
  group.insertBefore(fresh, after ?? null);
  old?.remove();
  fresh.classList.add("moved");
}

// --- loading again, without losing the place ---

let reloading = null;

function reloadSoon() {
  reloading ??= setTimeout(reload, RELOAD_AFTER_MS);
}

async function reload() {
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.redirected || answer.status === 401) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const [now, next] of pairs(fresh)) now.replaceWith(next);
    page.dataset.events = fresh.body.dataset.events;
    tellTimes(document);
    reloading = null;
    connect();
  } catch {
    reloading = setTimeout(reload, 5 * RELOAD_AFTER_MS);
  }
}

// The rows, not the search box: somebody may be typing in it.
function pairs(fresh) {
  const wanted = ["#totals", "#alerts", "#plugins", "table.services", "#services-title", ".services > .empty"];
  return wanted.map((name) => [document.querySelector(name), fresh.querySelector(name)]).filter(([a, b]) => a && b);
}

// --- the connection ---

const live = document.getElementById("live");
let source = null;

function tell(state, text) {
  if (!live) return;
  live.hidden = false;
  live.dataset.state = state;
  const place = live.querySelector(".text");
  if (place.textContent !== text) place.textContent = text;
}

function connect() {
  source?.close();
  source = new EventSource(page.dataset.events);
  source.onopen = () => tell("live", "Live");
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) {
      tell("lost", "Not live");
      reloading ??= setTimeout(reload, 10 * RELOAD_AFTER_MS);
    } else {
      tell("lost", "Reconnecting");
    }
  };
  source.addEventListener("fragments", (event) => swap(event.data));
  source.addEventListener("reload", reloadSoon);
}

tellTimes(document);
setInterval(() => tellTimes(document), 1000);
if (page.dataset.events) connect();
