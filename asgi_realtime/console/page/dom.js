// Makes elements. Every text goes through text nodes, so names of users, rooms and events are never read as markup.

/** Make an element. A property `on…` is a listener, others are attributes; `false`, null and undefined leave one out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A list of terms and their values. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

/** A field with its label. */
export function field(label, control) {
  return h("label", { class: "field" }, h("span", {}, label), control);
}

const confirmation = document.getElementById("confirm");

/** Ask before a change. Returns whether the operator agrees. */
export function confirmed(question, agree) {
  document.getElementById("question").textContent = question;
  document.getElementById("agree").textContent = agree;
  confirmation.returnValue = "cancel";
  confirmation.showModal();
  return new Promise((resolve) =>
    confirmation.addEventListener("close", () => resolve(confirmation.returnValue === "yes"), { once: true }),
  );
}

/** Say that something was done. */
export function notice(text) {
  document.getElementById("notice").textContent = text;
  document.getElementById("problem").textContent = "";
}

/** Say that something was not possible. */
export function problem(text) {
  document.getElementById("problem").textContent = text;
  document.getElementById("notice").textContent = "";
}

/** Run work, and show its failure. Returns undefined then. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    problem(error.message);
    return undefined;
  }
}

/** Text beside a list that some processes have not answered for. */
export function incomplete(complete) {
  return complete ? null : h("p", { class: "problem" }, "Not every process has answered in time, so this is not complete.");
}
