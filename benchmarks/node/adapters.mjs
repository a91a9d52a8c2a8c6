// The two adapters that join processes of Socket.IO's own server, as their documentation sets them up.

/**
 * Joins a server to the others of a Redis: `kind` is "streams", or else the adapter on pub/sub is used. Returns a
 * function that waits until Redis has accepted all that was sent.
 */
export async function join(io, url, kind) {
  const { createClient } = await import("redis");
  const client = createClient({ url });
  await client.connect();
  if (kind === "streams") {
    const { createAdapter } = await import("@socket.io/redis-streams-adapter");
    io.adapter(createAdapter(client));
    return () => client.ping();
  }
  const { createAdapter } = await import("@socket.io/redis-adapter");
  const subscriber = client.duplicate();
  await subscriber.connect();
  io.adapter(createAdapter(client, subscriber));
  return () => client.ping();
}
