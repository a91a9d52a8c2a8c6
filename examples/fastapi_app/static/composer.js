/** The composer: new messages, replies, edits, stickers. */

import { address, at } from "./api.js";
import { icon } from "./art.js";
import { h, show } from "./dom.js";
import { stickerMenu } from "./sticker-actions.js";

export function composer(session) {
  const { state } = session;
  const root = document.getElementById("composer");
  const texts = new Map(); // channel id → the unsent text
  const strip = h(".strip", { hidden: true, role: "group", "aria-label": "Stickers" });
  const context = h(".context");
  const text = h("textarea", {
    rows: 1,
    maxlength: 4000,
    "aria-label": "Message",
    enterkeyhint: "send",
    onkeydown: key,
    oninput: grow,
  });
  const stickers = h(
    "button.icon-button",
    {
      type: "button",
      "aria-label": "Stickers",
      title: "Stickers",
      "aria-expanded": "false",
      onclick: () => unfold(strip.hidden),
    },
    icon("sticker"),
  );
  const send = h("button.primary.round", { type: "submit", "aria-label": "Send" }, icon("send"));
  const form = h("form.line", { onsubmit: submit }, stickers, text, send);
  root.append(strip, context, form);
  let [channelId, draft] = [null, state.draft];

  function key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
    if (event.key === "Escape") (unfold(false), change({ replyTo: null, editing: null }));
    if (event.key === "ArrowUp" && !event.altKey && !text.value) editLast(event);
  }

  function editLast(event) {
    const mine = state.messages
      .get(channelId)
      ?.findLast(
        ({ authorId, retracted, type }) => authorId === state.me.id && !retracted && type !== "message/sticker",
      );
    if (!mine) return;
    event.preventDefault();
    change({ replyTo: null, editing: mine.id });
  }

  function change(values) {
    state.draft = values;
    session.changed();
  }

  function grow() {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight, 180)}px`;
    send.disabled = !text.value.trim();
  }

  function write(value) {
    text.value = value;
    grow();
  }

  async function submit(event) {
    event.preventDefault();
    const [content, target, { editing, replyTo }] = [text.value.trim(), channelId, state.draft];
    if (!content || !target) return;
    write("");
    change({ replyTo: null, editing: null });
    const sent = await session.attempt((api) =>
      editing
        ? api.patch(at("/messages/{}", editing), { content })
        : api.post(at("/channels/{}/messages", target), { content, referencedMessageId: replyTo ?? undefined }),
    );
    if (sent) session.sent(sent);
    else if (target === channelId && !text.value)
      write(content); // keep the text
    else texts.set(target, content);
  }

  function unfold(open) {
    strip.hidden = !open;
    stickers.setAttribute("aria-expanded", String(open));
  }

  function paste(sticker) {
    const { id: stickerId, name, imageUrl } = sticker;
    const sent = session.say({
      channelId,
      type: "message/sticker",
      payload: { stickerId, name, imageUrl },
      plainText: name,
    });
    if (!sent) session.hooks.onNotice("Not connected: the sticker was not sent.", { bad: true });
    unfold(false);
    text.focus();
  }

  function drawStrip() {
    const { server } = state;
    const all = (server ? [server] : [...state.servers.values()]).flatMap(({ stickers }) => [...stickers.values()]);
    const manages = Boolean(server) && state.may("MANAGE_STICKERS", server.id);
    show(strip, [...all, ...(manages ? [{ id: "manage" }] : all.length ? [] : [{ id: "none" }])], {
      key: ({ id }) => id,
      fingerprint: (sticker) => JSON.stringify(sticker),
      draw: (sticker) =>
        sticker.id === "none"
          ? h("p.nothing", {}, "No stickers yet.")
          : sticker.id === "manage"
            ? h(
                "button.manage",
                {
                  type: "button",
                  "aria-label": "Add or change stickers",
                  onclick: ({ currentTarget }) => stickerMenu(session, currentTarget),
                },
                icon("plus"),
              )
            : h(
                "button",
                {
                  type: "button",
                  title: sticker.name,
                  "aria-label": `Sticker ${sticker.name}`,
                  onclick: () => paste(sticker),
                },
                h("img", { src: address(sticker.imageUrl), alt: "" }),
              ),
    });
  }

  function drawContext() {
    const { editing, replyTo } = state.draft;
    const message = state.messages.get(channelId)?.find(({ id }) => id === (editing ?? replyTo));
    show(context, message ? [message] : [], {
      key: ({ id }) => id,
      fingerprint: ({ content }) => JSON.stringify([editing, replyTo, content]),
      draw: ({ authorId, content, plainText }) =>
        h(
          ".about",
          {},
          icon(editing ? "edit" : "reply"),
          h("span", {}, editing ? "Editing" : `Replying to ${state.name(authorId)}`),
          h("q", {}, content || plainText || "Sticker"),
          h(
            "button.icon-button",
            { type: "button", "aria-label": "Cancel", onclick: () => change({ replyTo: null, editing: null }) },
            icon("close"),
          ),
        ),
    });
  }

  return () => {
    const { channel } = state;
    const allowed = channel && state.may("SEND_MESSAGES", channel.serverId, channel.id);
    root.hidden = !channel;
    if (channel?.id !== channelId) {
      if (!draft.editing) texts.set(channelId, text.value);
      channelId = channel?.id ?? null;
      draft = state.draft;
      write(texts.get(channelId) ?? "");
      unfold(false);
      if (channel && matchMedia("(pointer: fine) and (min-width: 801px)").matches) text.focus();
    }
    if (draft.editing !== state.draft.editing) {
      const editing = state.messages.get(channelId)?.find(({ id }) => id === state.draft.editing);
      if (editing && !draft.editing) texts.set(channelId, text.value);
      write(editing ? editing.content : (texts.get(channelId) ?? ""));
      if (!editing) texts.delete(channelId);
    }
    draft = state.draft;
    text.disabled = stickers.disabled = !allowed;
    send.disabled = !allowed || !text.value.trim();
    text.placeholder = !channel
      ? ""
      : !allowed
        ? "You may read here, but not write."
        : `Message ${channel.type === "dm" ? "" : "#"}${state.title(channel)}`;
    drawContext();
    drawStrip();
  };
}
