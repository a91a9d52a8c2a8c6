// Only compiled, not run: checks of the generated types.
import type { Socket } from "socket.io-client";

import type { ClientToServerEvents, HostTypes, ServerToClientEvents } from "../src/generated/mew.js";
import type { ClientFrame, ServerFrame } from "../src/generated/jobs.js";

interface Mine extends HostTypes {
  Message: { readonly id: string };
}

declare const mew: Socket<ServerToClientEvents<Mine>, ClientToServerEvents>;

mew.on("MESSAGE_CREATE", (message) => {
  const id: string = message.id;
  return id;
});
mew.on("PRESENCE_UPDATE", ({ status }) => {
  // @ts-expect-error there are only two statuses
  return status === "away";
});
mew.emit("message/create", { channelId: "c", content: "Hi" });
// @ts-expect-error a channel is needed
mew.emit("message/create", { content: "Hi" });
// @ts-expect-error no such event
mew.emit("message/delete", {});

export async function refresh(): Promise<string> {
  const answer = await mew.emitWithAck("auth/refresh", { token: "t" });
  return answer.success ? "" : answer.message;
}

export function read(frame: ServerFrame): string | null {
  switch (frame.type) {
    case "job_status":
      return frame.data.currentStage;
    case "error":
      return frame.code;
    case "connection_established":
    case "pong":
      return frame.timestamp;
    case "stage_completed":
    case "job_error":
      return frame.data.jobId;
  }
}

// @ts-expect-error the fields are not below data
export const wrong: ClientFrame = { type: "join_job", data: { jobId: "j" } };
