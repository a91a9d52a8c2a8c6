/** The login: click a demo user or enter a name. Without the development routes, enter an access token. */

import { Api } from "./api.js";
import { cat, face, icon } from "./art.js";
import { h } from "./dom.js";

export async function login(root, { text, onToken }) {
  const api = new Api();
  const problem = h("p.problem", { role: "alert" }, text ?? "");
  const users = await api
    .get("/dev/users")
    .catch((error) => (error.status === 404 ? null : (problem.textContent = error.message) && []));

  async function be(userId) {
    problem.textContent = "";
    try {
      onToken((await api.post("/dev/token", { userId })).token);
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  async function present(token) {
    const good = await new Api(token).get("/users/me").catch(() => null);
    if (good) onToken(token);
    else problem.textContent = "The server does not accept this token.";
  }

  const form = users
    ? entry({ label: "Or sign in under a new name", hint: "name", pattern: "[A-Za-z0-9_.@:\\-]{1,64}", onEntry: be })
    : entry({ label: "This server has no demo log-in. Paste an access token.", hint: "eyJ…", onEntry: present });
  const card = h(
    "main.card",
    {},
    h(".hello", {}, cat(), h("h1", {}, "Mew")),
    h("p.lead", {}, users ? "Sign in as one of them. A second window can be another user." : "A small chat, live."),
    users?.length && h("ul.faces", {}, ...users.slice(0, 8).map((user) => h("li", {}, person(user, be)))),
    form,
    problem,
  );
  root.replaceChildren(card);
  root.hidden = false;
  document.getElementById("app").hidden = true;
}

function person(user, be) {
  return h(
    "button.account",
    { type: "button", onclick: () => be(user.id), "data-user": user.id },
    face(user),
    h("span.name", {}, user.displayName),
    h("span.id", {}, user.id),
  );
}

function entry({ label, hint, pattern, onEntry }) {
  const input = h("input", {
    name: "entry",
    placeholder: hint,
    pattern,
    required: true,
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
  });
  const submit = (event) => (event.preventDefault(), onEntry(input.value.trim()));
  return h(
    "form.entry",
    { onsubmit: submit },
    h("label", {}, h("span", {}, label), input),
    h("button.primary.round", { type: "submit", "aria-label": "Enter" }, icon("send")),
  );
}
