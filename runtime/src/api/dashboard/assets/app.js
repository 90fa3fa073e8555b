// Keeps a page fresh, puts moments as spans of time, and gives it keys.
// Without it the page is complete, only as old as its last load.
"use strict";

const REFRESH_EVERY_MS = 2000;
const SOON_MS = 300;
const AFTER_FAILURE_MS = 15000;
const KEY_PAIR_MS = 1500;

const page = document.body;
const zone = document.documentElement.dataset.zone;

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

function updateTimes(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-ago], time[data-for]")) {
    const passed = span(now - Date.parse(time.dateTime));
    const text = "ago" in time.dataset ? (passed === "0 s" ? "now" : `${passed} ago`) : `for ${passed}`;
    if (time.textContent !== text) time.textContent = text;
  }
}

// Fragments are the same for all viewers, in UTC; the page is in the viewer's zone.
function putIntoZone(root) {
  if (zone === "UTC") return;
  const parts = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  let format = null;
  try {
    format = new Intl.DateTimeFormat("en-GB", { ...parts, timeZone: zone });
  } catch {
    return; // A zone that this browser does not know.
  }
  for (const time of root.querySelectorAll("time[title]")) {
    time.title = format.format(Date.parse(time.dateTime)).replace(",", "");
  }
}

// --- changes in place: what is alike stays the same element, with its focus, selection and open parts ---

function isAlike(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id ?? "") === (fresh.id ?? "");
}

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    const isOpen = name === "open" && old.nodeName === "DETAILS";
    if (!fresh.hasAttribute(name) && !isOpen) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const kept = new Set([...fresh.children].map((child) => child.id).filter(Boolean));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const same = next.id ? [...old.children].find((child) => child.id === next.id) : null;
    if (same && same !== at) {
      old.insertBefore(same, at);
      at = same;
    }
    if (at && isAlike(at, next)) {
      const after = at.nextSibling;
      morph(at, next);
      at = after;
    } else if (at && !kept.has(at.id)) {
      const after = at.nextSibling;
      at.replaceWith(next);
      at = after;
    } else {
      old.insertBefore(next, at);
    }
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

// An element that moved has lost its focus; one that is gone leaves it to the page.
function keepingFocus(change) {
  const focused = document.activeElement;
  change();
  if (focused === document.activeElement || focused === page) return;
  const place = focused.isConnected ? focused : (focused.id && document.getElementById(focused.id)) || document.getElementById("main");
  place.focus({ preventScroll: true });
}

function replace(old, fresh) {
  if (isAlike(old, fresh)) morph(old, fresh);
  else old.replaceWith(fresh);
}

function afterChange() {
  updateTimes(document);
  showOpenAlerts();
  announce();
  makeScrollable();
}

// --- fragments ---

function swap(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  putIntoZone(template.content);
  updateTimes(template.content);
  keepingFocus(() => {
    for (const fresh of [...template.content.children]) {
      const old = document.getElementById(fresh.id);
      if (fresh.dataset.status) placeRow(fresh, old);
      else if (old) replace(old, fresh);
    }
  });
  afterChange();
}

// A row stands in the group of its status, by name.
function placeRow(fresh, old) {
  const table = document.querySelector("table.services");
  const only = table?.dataset.only;
  const status = fresh.dataset.status;
  if (only && (old ? old.dataset.status : null) !== status && (old || status === only)) refreshSoon(true);
  const group = table?.querySelector(`tbody[data-group="${status}"]`);
  if (old && (!group || old.dataset.status === status)) {
    replace(old, fresh);
    return;
  }
  if (!group || (!old && !("complete" in table.dataset))) return;
  const after = [...group.rows].find((row) => row.dataset.name > fresh.dataset.name);
  const row = old ?? fresh;
  if (old) morph(old, fresh);
  group.insertBefore(row, after ?? null);
  row.classList.add("moved");
}

// --- what every page shows beside its content ---

function showOpenAlerts() {
  const open = Number(document.getElementById("open-alerts")?.value ?? 0);
  for (const badge of document.querySelectorAll(".open-count")) {
    badge.hidden = open === 0;
    badge.textContent = open;
  }
  const title = document.title.replace(/^\(\d+\) /, "");
  document.title = open === 0 ? title : `(${open}) ${title}`;
}

function headline() {
  const place = document.querySelector("main .sentence, main [data-announce]") ?? document.querySelector("main h1");
  return place?.textContent.trim() ?? "";
}

let announced = headline();

// One sentence, and only when it changes: a screen reader must not read the whole page again.
function announce() {
  const sentence = headline();
  if (sentence === announced) return;
  announced = sentence;
  const place = document.getElementById("announcement");
  if (place) place.textContent = sentence;
}

// A box that scrolls can be scrolled by keys only if it takes the focus.
function makeScrollable() {
  for (const box of document.querySelectorAll("main .wide, main pre")) {
    const isWide = box.scrollWidth > box.clientWidth;
    if (isWide && !box.querySelector("a, button, input, select")) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

// --- loading again, without losing the place ---

let refreshing = null;
let isLoading = false;
let refreshedAt = 0;
let mustConnect = false;

function refreshSoon(connectAgain = false) {
  mustConnect ||= connectAgain;
  const wait = Math.max(SOON_MS, refreshedAt + REFRESH_EVERY_MS - Date.now());
  refreshing ??= setTimeout(refresh, wait);
}

function isEdited(control) {
  if (control.type === "hidden") return false;
  if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
  if (control.nodeName !== "SELECT") return control.value !== control.defaultValue;
  const chosen = [...control.options].findIndex((option) => option.defaultSelected);
  return control.selectedIndex !== Math.max(chosen, 0);
}

// Nothing moves below a hand that writes, and a page that nobody sees can wait.
function mustWait() {
  return document.hidden || [...document.querySelectorAll("main input, main textarea, main select")].some(isEdited);
}

async function refresh() {
  if (isLoading || mustWait()) {
    refreshing = setTimeout(refresh, REFRESH_EVERY_MS);
    return;
  }
  // What changes from here on may be missing in the answer, and asks for another one.
  refreshing = null;
  isLoading = true;
  refreshedAt = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.redirected || answer.status === 401) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    updateTimes(fresh);
    keepingFocus(() => {
      for (const id of ["main", "open-alerts"]) {
        const [old, next] = [document.getElementById(id), fresh.getElementById(id)];
        if (old && next) replace(old, next);
      }
    });
    document.title = fresh.title;
    afterChange();
    if (mustConnect && fresh.body.dataset.events) {
      mustConnect = false;
      seen = "";
      page.dataset.events = fresh.body.dataset.events;
      connect();
    }
  } catch {
    refreshing ??= setTimeout(refresh, AFTER_FAILURE_MS);
  } finally {
    isLoading = false;
  }
}

// --- the connection ---

const live = document.getElementById("live");
let source = null;
let seen = "";

function showState(state, text) {
  if (!live) return;
  live.hidden = false;
  live.dataset.state = state;
  const place = live.querySelector(".text");
  if (place.textContent !== text) place.textContent = text;
}

function connect() {
  source?.close();
  const address = new URL(page.dataset.events, location.href);
  if (seen) address.searchParams.set("since", seen);
  source = new EventSource(address);
  source.onopen = () => showState("live", "Live");
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) {
      showState("lost", "Not live");
      mustConnect = true;
      refreshing ??= setTimeout(refresh, AFTER_FAILURE_MS);
    } else {
      showState("lost", "Reconnecting");
    }
  };
  const on = (name, act) => source.addEventListener(name, (event) => {
    seen = event.lastEventId;
    act(event);
  });
  on("fragments", (event) => swap(event.data));
  on("changed", () => refreshSoon());
  on("reload", () => refreshSoon(true));
}

// --- keys ---

const help = document.getElementById("help");
let goingUntil = 0;

function isTyping(element) {
  return element.matches("textarea, select, [contenteditable], input:not([type=checkbox], [type=radio], [type=button])");
}

function press(selector) {
  // In a row, what another one offers is not meant.
  const row = document.activeElement.closest("main :is(tr, li, .alert, [data-row])");
  const target = row ? row.querySelector(selector) : document.querySelector(`main :is(${selector})`);
  if (!target) return;
  // A form with fields is filled in first; fields of a closed part take no focus.
  const field = target.form?.querySelector("input:not([type=hidden]), select, textarea");
  const closed = field?.closest("details:not([open])");
  if (closed) closed.open = true;
  if (field) field.focus();
  else target.click();
}

function move(step) {
  const links = [...document.querySelectorAll("main tbody tr, main [data-row]")]
    .filter((row) => row.offsetParent !== null)
    .map((row) => row.querySelector("a[href]"))
    .filter(Boolean);
  const here = document.activeElement.closest("tr, [data-row]")?.querySelector("a[href]");
  const index = links.indexOf(here);
  const next = index < 0 ? links[step > 0 ? 0 : links.length - 1] : links[index + step];
  next?.focus();
}

const KEYS = {
  "?": () => help?.showModal(),
  "/": () => document.querySelector("[data-key='/'], .go-to input")?.focus(),
  g: () => { goingUntil = Date.now() + KEY_PAIR_MS; },
  j: () => move(1),
  k: () => move(-1),
  a: () => press("form[action$='/acknowledge'] button, button[formaction$='/acknowledge'], [data-key=a]"),
  s: () => press("form[action$='/silence'] button, button[formaction$='/silence'], [data-key=s]"),
  c: () => press("form[action$='/check'] button, [data-key=c]"),
  t: () => (document.querySelector("main .ranges [aria-current], main .ranges a, main [data-key=t]"))?.focus(),
};

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.options[open], details.more-rooms[open]")) {
    if (!menu.contains(except)) menu.open = false;
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape") {
    closeMenus(null);
    if (isTyping(document.activeElement)) document.activeElement.blur();
    return;
  }
  if (isTyping(document.activeElement) || document.querySelector("dialog[open]")) return;
  if (Date.now() < goingUntil) {
    goingUntil = 0;
    const room = [...document.querySelectorAll(".rooms a")].find((link) => link.dataset.go === event.key);
    if (room) {
      event.preventDefault();
      location.assign(room.href);
    }
    return;
  }
  if (!Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

document.addEventListener("click", (event) => closeMenus(event.target));

// --- the zone of the browser, offered ---

const zones = document.getElementById("preferred-zone");
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zones && here) {
  const known = [...zones.options].find((option) => option.value === here);
  if (known) known.textContent = `${here} (this browser)`;
  else zones.add(new Option(`${here} (this browser)`, here));
}

// Browsers open six connections to a server at most: a page that nobody sees gives its one back.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    source?.close();
    source = null;
    return;
  }
  if (page.dataset.events && !source) connect();
  if (refreshing) {
    clearTimeout(refreshing);
    refreshing = setTimeout(refresh, SOON_MS);
  }
});
window.addEventListener("resize", makeScrollable);
setInterval(() => updateTimes(document), 1000);
updateTimes(document);
makeScrollable();
if (page.dataset.events) connect();
