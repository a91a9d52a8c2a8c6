/** The page: servers with channels, messages, and members who are online. It authenticates by the session's cookie. */

const { user, socket: source } = document.body.dataset;
const { Socket } = await import(source);

const byId = (id) => document.getElementById(id);
let servers = [];
let others = [];
let current = null; // the id of the channel that is shown
let messages = new Map(); // those of that channel, by id
const online = new Set();

const socket = new Socket({ url: new URL("/socket.io/", location.href), auth: () => ({}), onState: connection });
socket
  .on("PRESENCE_INITIAL_STATE", (ids) => (online.clear(), ids.forEach((id) => online.add(id))))
  .on("PRESENCE_UPDATE", ({ userId, status }) => (status === "online" ? online.add(userId) : online.delete(userId), draw()))
  .on("ready", load)
  .on("MESSAGE_CREATE", received)
  .on("MESSAGE_UPDATE", received)
  .on("error", ({ message }) => (byId("state").textContent = message));
for (const event of ["MEMBER_JOIN", "MEMBER_LEAVE", "SERVER_KICK", "SERVER_DELETE", "CHANNEL_UPDATE", "CHANNEL_DELETE"])
  socket.on(event, load);
socket.connect();

byId("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const content = new FormData(event.target).get("content");
  if (socket.emit("message/create", { channelId: current, content })) event.target.reset();
});

function connection(state, { message }) {
  byId("state").textContent = state === "live" ? "" : message ?? state;
  if (state === "refused") location.reload(); // the session has ended: the server shows the login
}

async function load() {
  ({ servers, others } = await (await fetch("/servers")).json());
  const channels = servers.flatMap((server) => server.channels);
  const kept = channels.find(({ id }) => id === current) ?? channels[0];
  await open(kept?.id ?? null);
}

async function open(id) {
  current = id;
  const found = id === null ? [] : await (await fetch(`/channels/${id}/messages`)).json();
  if (current !== id) return;
  messages = new Map(found.map((message) => [message.id, message]));
  draw();
}

function received(message) {
  if (message.channelId !== current) return;
  messages.set(message.id, message);
  draw();
}

async function post(path) {
  const body = new FormData(document.querySelector("header form")); // has the CSRF token
  await fetch(path, { method: "POST", body });
}

function draw() {
  byId("write").hidden = current === null;
  byId("channels").replaceChildren(
    ...servers.flatMap((server) => [
      element("h2", server.name),
      ...server.channels.map(({ id, name }) => {
        const button = element("button", `# ${name}`, () => open(id));
        button.setAttribute("aria-current", id === current);
        return button;
      }),
    ]),
    ...others.map(({ id, name }) => element("button", `Join ${name}`, () => post(`/servers/${id}/join`))),
  );
  byId("messages").replaceChildren(
    ...[...messages.values()].map((message) => {
      const item = element("li", `${message.author}: ${message.retracted ? "retracted" : message.content}`);
      item.classList.toggle("retracted", message.retracted);
      if (message.authorId === user && !message.retracted)
        item.append(" ", element("button", "Retract", () => post(`/messages/${message.id}/retract`)));
      return item;
    }),
  );
  byId("messages").lastElementChild?.scrollIntoView();
  byId("members").replaceChildren(...servers.flatMap((server) => server.members.map((member) => drawMember(server, member))));
}

function drawMember(server, { id, name }) {
  const item = element("li", name);
  item.classList.toggle("online", online.has(id));
  if (server.mine && id !== user)
    item.append(element("button", "Kick", () => post(`/servers/${server.id}/members/${id}/kick`)));
  return item;
}

/** Text always becomes a text node. */
function element(tag, text, onclick = null) {
  const made = document.createElement(tag);
  made.textContent = text;
  made.onclick = onclick;
  return made;
}
