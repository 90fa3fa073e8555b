// The console: Ctrl-Enter runs, Ctrl-/ makes a comment, Tab completes a name, Cancel stops what runs,
// and what was typed is still there tomorrow. Without it the form works as it is.
"use strict";

const form = document.querySelector("form.console");
const field = form.querySelector("textarea");
const names = document.getElementById("names");
const cancel = document.getElementById("cancel");
const words = (field.dataset.words || "").split(" ").filter(Boolean);
const DRAFT = "extrack-sql-draft";

function insert(from, to, text) {
  field.setRangeText(text, from, to, "end");
  keep();
}

function keep() {
  try {
    localStorage.setItem(DRAFT, field.value);
  } catch {
    // No room, or not allowed: the draft is lost with the page.
  }
}

function common(found) {
  let prefix = found[0];
  for (const word of found) {
    while (!word.startsWith(prefix)) prefix = prefix.slice(0, -1);
  }
  return prefix;
}

// Returns false where there is nothing to complete, so that Tab leaves the field as everywhere.
function complete() {
  const at = field.selectionStart;
  if (at !== field.selectionEnd) return false;
  const begun = /[A-Za-z_][A-Za-z0-9_]*$/.exec(field.value.slice(0, at));
  if (!begun) return false;
  const found = words.filter((word) => word.startsWith(begun[0].toLowerCase()));
  if (!found.length) return false;
  const text = common(found);
  insert(at - begun[0].length, at, text);
  names.textContent = found.length > 1 ? found.slice(0, 12).join("  ") : "";
  return found.length > 1 || text !== begun[0];
}

function comment() {
  const value = field.value;
  const begin = value.lastIndexOf("\n", field.selectionStart - 1) + 1;
  const isOne = value.startsWith("-- ", begin);
  if (isOne) insert(begin, begin + 3, "");
  else insert(begin, begin, "-- ");
}

field.addEventListener("keydown", (event) => {
  const isCommand = event.ctrlKey || event.metaKey;
  if (isCommand && event.key === "Enter") {
    event.preventDefault();
    form.requestSubmit();
  } else if (isCommand && event.key === "/") {
    event.preventDefault();
    comment();
  } else if (event.key === "Tab" && !event.shiftKey && complete()) {
    event.preventDefault();
  }
});
field.addEventListener("input", keep);

// A browser that stops waiting for the page closes the connection, and that ends the statement.
form.addEventListener("submit", () => {
  cancel.hidden = false;
});
cancel.addEventListener("click", () => {
  window.stop();
  cancel.hidden = true;
});
window.addEventListener("pageshow", () => {
  cancel.hidden = true;
});

try {
  if (!field.value) field.value = localStorage.getItem(DRAFT) || "";
} catch {
  // Not allowed: the field stays empty.
}
