/** Actions on stickers. */

import { at } from "./api.js";
import { ask, menu, nameField, names } from "./dialogs.js";

const DRAWINGS = ["hello", "love", "laugh", "sleep", "wow", "tea"].map((name) => [
  `/static/stickers/${name}.svg`,
  name,
]);

export function stickerMenu(session, anchor) {
  const { server } = session.state;
  const some = server.stickers.size > 0;
  menu(anchor, [
    { text: "Add a sticker", icon: "plus", run: () => addSticker(session, server) },
    some && { text: "Rename a sticker", icon: "edit", run: () => renameSticker(session, server) },
    some && { text: "Remove a sticker", icon: "bin", danger: true, run: () => removeSticker(session, server) },
  ]);
}

async function addSticker(session, server) {
  const values = await ask({
    title: "Add a sticker",
    fields: [{ name: "imageUrl", label: "Drawing", options: DRAWINGS }, nameField("Name")],
    action: "Add",
  });
  if (values) await session.attempt((api) => api.post(at("/servers/{}/stickers", server.id), values));
}

async function renameSticker(session, server) {
  const values = await ask({
    title: "Rename a sticker",
    fields: [{ name: "id", label: "Sticker", options: names(server.stickers) }, nameField("New name")],
  });
  if (values) await session.attempt((api) => api.patch(at("/stickers/{}", values.id), { name: values.name }));
}

async function removeSticker(session, server) {
  const values = await ask({
    title: "Remove a sticker",
    fields: [{ name: "id", label: "Sticker", options: names(server.stickers) }],
    action: "Remove",
    danger: true,
  });
  if (values) await session.attempt((api) => api.delete(at("/stickers/{}", values.id)));
}
