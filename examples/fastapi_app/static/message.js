/** One message and its actions. */

import { emoji, face, icon, REACTIONS } from "./art.js";
import { address, at } from "./api.js";
import { ask, raise } from "./dialogs.js";
import { h } from "./dom.js";

const ONLY_EMOJI = /^(?:\p{Extended_Pictographic}\uFE0F?\s*){1,4}$/u;
const LINK = String.raw`https?:\/\/[^\s<>"]+[^\s<>".,:;!?)\]]`;
const SPECIAL = new RegExp(`(${[LINK, ...Object.keys(REACTIONS)].join("|")})`);

export function messageView(session) {
  const { state } = session;

  /** A string that changes whenever the message has to be drawn again. */
  function fingerprint({ message, joined, replied }) {
    const { editing, replyTo } = state.draft;
    const marked = [editing, replyTo].includes(message.id);
    const original = replied && [replied.content, replied.retracted, state.name(replied.authorId)];
    return JSON.stringify([
      message,
      joined,
      original,
      marked,
      state.users.get(message.authorId),
      [maySend, reacts, moderates].map((may) => may(message)),
    ]);
  }

  const maySend = ({ serverId, channelId }) => state.may("SEND_MESSAGES", serverId, channelId);
  const reacts = ({ serverId, channelId }) => state.may("ADD_REACTIONS", serverId, channelId);
  const moderates = ({ serverId, channelId }) => state.may("MANAGE_MESSAGES", serverId, channelId);

  function element({ message, joined, replied }) {
    const author = state.users.get(message.authorId) ?? message.author;
    const mine = message.authorId === state.me.id;
    const marked = [state.draft.editing, state.draft.replyTo].includes(message.id);
    const time = new Date(message.createdAt);
    const clock = h(
      "time",
      { datetime: message.createdAt, title: time.toLocaleString() },
      time.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" }),
    );
    return h(
      `article.message${joined ? ".joined" : ""}${mine ? ".mine" : ""}${marked ? ".marked" : ""}`,
      { "data-message": message.id, "data-focus": `message:${message.id}`, tabindex: -1 },
      joined ? h(".margin", {}, clock) : h(".margin", {}, face(author)),
      h(
        ".body",
        {},
        message.referencedMessageId && quote(replied),
        !joined && h(".by", {}, h("span.author", {}, author.displayName), clock),
        content(message),
        reactions(message),
      ),
      !message.retracted && tools(message, mine),
    );
  }

  function quote(replied) {
    const text = replied
      ? replied.retracted
        ? "Deleted message"
        : replied.content || replied.plainText || "Sticker"
      : "An earlier message";
    const jump = () => document.querySelector(`[data-message="${CSS.escape(replied?.id ?? "")}"]`)?.focus();
    return h(
      "button.quote",
      { type: "button", tabindex: -1, onclick: jump },
      icon("reply"),
      replied && h("b", {}, state.name(replied.authorId)),
      h("span", {}, text),
    );
  }

  function content(message) {
    if (message.retracted) return h("p.text.retracted", {}, "This message was deleted.");
    if (message.type === "message/sticker") return sticker(message);
    const text = message.content || message.plainText || `Attachments: ${message.attachments?.length ?? 0}`;
    const edited =
      message.editedAt && h("span.edited", { title: new Date(message.editedAt).toLocaleString() }, " edited");
    return h(ONLY_EMOJI.test(text) ? "p.text.large" : "p.text", {}, ...lively(text), edited);
  }

  function sticker({ payload, plainText }) {
    const name = String(payload?.name ?? plainText ?? "Sticker");
    return typeof payload?.imageUrl === "string"
      ? h("img.sticker", { src: address(payload.imageUrl), alt: name, title: name })
      : h("p.text", {}, name);
  }

  function reactions(message) {
    if (!message.reactions?.length) return null;
    return h(
      ".reactions",
      {},
      ...message.reactions.map(({ emoji: character, userIds }) => {
        const pressed = userIds.includes(state.me.id);
        const names = userIds.map((id) => state.name(id)).join(", ");
        return h(
          "button.reaction",
          {
            type: "button",
            "aria-pressed": String(pressed),
            "aria-label": `${REACTIONS[character] ?? character}: ${names}`,
            title: names,
            disabled: !reacts(message),
            "data-focus": `reaction:${message.id}:${character}`,
            onclick: () => toggle(message, character),
          },
          emoji(character),
          h("span", {}, String(userIds.length)),
        );
      }),
    );
  }

  function toggle(message, character) {
    const pressed = message.reactions.find((reaction) => reaction.emoji === character)?.userIds.includes(state.me.id);
    return session.attempt((api) =>
      api[pressed ? "delete" : "put"](at("/messages/{}/reactions/{}", message.id, character)),
    );
  }

  function tools(message, mine) {
    const tool = (name, label, run) =>
      h("button.icon-button", { type: "button", "aria-label": label, title: label, onclick: run }, icon(name));
    return h(
      ".tools",
      {},
      reacts(message) && tool("smile", "React", ({ currentTarget }) => pick(currentTarget, message)),
      maySend(message) && tool("reply", "Reply", () => draft({ replyTo: message.id, editing: null })),
      mine &&
        message.type !== "message/sticker" &&
        tool("edit", "Edit", () => draft({ replyTo: null, editing: message.id })),
      (mine || moderates(message)) && tool("bin", "Delete", () => remove(message)),
    );
  }

  function pick(anchor, message) {
    const choices = Object.entries(REACTIONS).map(([character, label]) =>
      h(
        "button",
        {
          type: "button",
          "aria-label": label,
          title: label,
          onclick: () => (picker.hidePopover(), toggle(message, character)),
        },
        emoji(character),
      ),
    );
    const picker = h(".picker", { popover: "auto", role: "group", "aria-label": "Reactions" }, ...choices);
    raise(picker, anchor);
  }

  function draft(values) {
    state.draft = values;
    session.changed();
    document.querySelector("#composer textarea")?.focus();
  }

  async function remove(message) {
    const sure = await ask({
      title: "Delete this message?",
      text: message.content || message.plainText,
      action: "Delete",
      danger: true,
    });
    if (sure) await session.attempt((api) => api.delete(at("/messages/{}", message.id)));
  }

  return { element, fingerprint };
}

/** Text with links and drawn emoji. */
function lively(text) {
  return text.split(SPECIAL).map((part, index) => {
    if (index % 2 === 0) return part; // text between the special parts
    if (part in REACTIONS) return emoji(part, { spoken: true });
    return h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part);
  });
}
