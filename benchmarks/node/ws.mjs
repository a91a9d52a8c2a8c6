// ws at its best: each broadcast is framed once, and the frame written to every socket.

import { Sender, WebSocketServer } from "ws";
import { control, listen } from "./control.mjs";

const room = new Set();

const http = control((type, data) => {
  const text = Buffer.from(JSON.stringify({ type, data }));
  const frame = Buffer.concat(Sender.frame(text, { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: true }));
  for (const socket of room) {
    socket._socket.write(frame);
  }
});

new WebSocketServer({ server: http }).on("connection", (socket) => {
  let counted = 0;
  socket.on("message", (message) => {
    const { type } = JSON.parse(message);
    if (type === "auth") {
      room.add(socket);
      socket.send('{"type":"auth_success"}');
    } else if (type === "count") {
      counted++;
    } else if (type === "total") {
      socket.send(JSON.stringify({ type, data: { number: ++counted } }));
    }
  });
  socket.on("close", () => room.delete(socket));
});

listen(http);
