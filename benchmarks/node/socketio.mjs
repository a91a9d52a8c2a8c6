// Socket.IO's own server, as its documentation sets it up.

import { Server } from "socket.io";
import { join } from "./adapters.mjs";
import { serve } from "./control.mjs";

const http = serve((event, payload) => io.to("room").emit(event, payload));
const io = new Server(http);
if (process.env.REDIS_URL) {
  await join(io, process.env.REDIS_URL, process.env.ADAPTER);
}

io.on("connection", (socket) => {
  let counted = 0;
  socket.join("room");
  socket.on("count", () => {
    counted++;
  });
  socket.on("total", (payload, acknowledge) => acknowledge({ number: ++counted }));
});
