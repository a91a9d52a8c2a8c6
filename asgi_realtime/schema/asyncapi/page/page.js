"use strict";
// Without this script everything is there too: it only finds, opens and closes.
const search = document.getElementById("search");
const found = document.getElementById("found");
const events = [...document.querySelectorAll("details.event, details.schema")];
const links = [...document.querySelectorAll("nav li[data-name]")];
const groups = [...document.querySelectorAll(".direction, section, nav li.channel")];

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const each of [...events, ...links]) {
    each.hidden = !words.every((word) => each.dataset.name.includes(word));
  }
  for (const group of groups) {
    const inside = group.querySelectorAll("details[data-name], li[data-name]");
    group.hidden = words.length > 0 && [...inside].every((each) => each.hidden);
  }
  const shown = events.filter((each) => !each.hidden && each.classList.contains("event")).length;
  found.textContent = words.length === 0 ? "" : shown === 1 ? "1 event" : `${shown} events`;
}

function openTarget() {
  const target = document.getElementById(location.hash.slice(1)); // no id has a character that is escaped
  if (target === null) return;
  if (target.closest("[hidden]") !== null) {
    search.value = "";
    find();
  }
  if (target instanceof HTMLDetailsElement) target.open = true;
  target.scrollIntoView();
}

search.addEventListener("input", find);
addEventListener("hashchange", openTarget);
document.getElementById("open").addEventListener("click", () => events.forEach((each) => (each.open = !each.hidden)));
document.getElementById("close").addEventListener("click", () => events.forEach((each) => (each.open = false)));
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && document.activeElement === search) {
    search.value = "";
    find();
    search.blur();
  }
});
const contents = document.querySelector("nav details");
if (matchMedia("(max-width: 60rem)").matches) contents.open = false;
document.getElementById("tools").hidden = false;
openTarget();
