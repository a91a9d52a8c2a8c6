// Socket.IO's own server, as its documentation sets it up.

import { Server } from "socket.io";
import { join } from "./adapters.mjs";
import { control, listen, roomName } from "./control.mjs";

const room = process.env.ROOM ?? "room";
let accepted = async () => {};
const http = control(
  (event, payload) => io.to(room).emit(event, payload),
  () => accepted(),
  {
    except: (event, payload, other) => io.to(room).except(other).emit(event, payload),
    rooms: (event, payload, small) => io.to(small).emit(event, payload),
  },
);
const io = new Server(http, process.env.RECOVERY ? { connectionStateRecovery: {} } : {});
if (process.env.REDIS_URL) {
  accepted = await join(io, process.env.REDIS_URL, process.env.ADAPTER);
}

io.on("connection", (socket) => {
  let counted = 0;
  socket.join(room);
  socket.on("enter", ({ rooms }, acknowledge) => {
    socket.join(rooms.map(roomName));
    acknowledge({ number: rooms.length });
  });
  socket.on("count", () => {
    counted++;
  });
  socket.on("total", (payload, acknowledge) => acknowledge({ number: ++counted }));
});

// A graceful end, so that what its clients need to recover is kept.
process.on("SIGTERM", () => io.close());

listen(http);
