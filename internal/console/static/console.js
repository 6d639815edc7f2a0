"use strict";
// Every page works without this file. It keeps the live part of a page up to
// date without getting in the way of whoever reads it, and shows how far an
// upload is.

const isLive = (element) => element.id === "live";

// A page that nobody looks at asks for nothing.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (isLive(event.detail.elt) && document.hidden) event.preventDefault();
});

// What has the keyboard's focus keeps it when the live part is replaced.
let focused = null;
document.addEventListener("htmx:beforeSwap", (event) => {
  const form = event.detail.requestConfig.elt.tagName === "FORM";
  if (form && event.detail.xhr.status >= 400) { // the page that says why
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
  const active = document.activeElement;
  focused = null;
  if (isLive(event.detail.target) && inUse(event.detail.target, active)) {
    event.detail.shouldSwap = false;
    return;
  }
  if (isLive(event.detail.target) && active && event.detail.target.contains(active)) {
    const same = active.getAttribute("href") || active.id;
    focused = { same, index: twins(event.detail.target, same).indexOf(active) };
  }
});
document.addEventListener("htmx:afterSwap", () => {
  const region = document.getElementById("live");
  if (!focused || !region) return;
  const found = twins(region, focused.same);
  const heir = found[focused.index] || found[0];
  if (heir) heir.focus({ preventScroll: true });
});
// A form in the live part that somebody fills in stays.
const inUse = (region, active) =>
  region.querySelector("input[type=checkbox]:checked") ||
  (active && region.contains(active) && active.matches("input, select, textarea"));
const twins = (region, same) =>
  [...region.querySelectorAll("a, [id]")].filter((e) => same && (e.getAttribute("href") || e.id) === same);

// Whether the server still answers.
const pulse = document.getElementById("pulse");
const show = (text, lost) => {
  if (!pulse || pulse.textContent === text) return;
  pulse.textContent = text;
  pulse.classList.toggle("lost", lost);
};
document.addEventListener("htmx:afterRequest", (event) => {
  if (!isLive(event.detail.elt)) return;
  if (event.detail.successful) show("live", false);
  else show("no answer since " + new Date().toTimeString().slice(0, 5), true);
});

// How far an upload is.
document.addEventListener("htmx:xhr:progress", (event) => {
  const bar = event.detail.elt && document.querySelector("form progress");
  if (!bar || !event.detail.lengthComputable) return;
  bar.hidden = false;
  bar.max = event.detail.total;
  bar.value = event.detail.loaded;
});

// One box for all boxes of a table.
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-all]")) return;
  for (const box of document.querySelectorAll("input[name=device]")) box.checked = event.target.checked;
});
