//! socketioxide behind axum, as their documentation sets them up, on a runtime of one thread.

use std::env;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use axum::serve::ListenerExt;
use serde::{Deserialize, Serialize};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::operators::BroadcastOperators;
use tokio::net::TcpListener;

const EVENT: &str = "MESSAGE_CREATE";
const ROOM: &str = "room";

/// Packets that wait for one client. socketioxide drops packets beyond that number. Its default is
/// 128: a client that does not read would lose some.
const BUFFERED_PACKETS: usize = 10_000;

/// A message or an event: its number, to check loss and order, and filler text.
#[derive(Deserialize, Serialize)]
struct Payload {
    number: u64,
    text: String,
}

impl Payload {
    fn new(first: u64, size: usize) -> Payload {
        Payload {
            number: first,
            text: "x".repeat(size),
        }
    }

    /// Sends it, and takes the next number. Clients that have just left cause an error. The others
    /// check that they receive everything.
    async fn send(&mut self, recipients: BroadcastOperators) {
        let _ = recipients.emit(EVENT, self).await;
        self.number += 1;
    }
}

/// The small rooms that a client enters, by number.
#[derive(Deserialize)]
struct Rooms {
    rooms: Vec<u64>,
}

#[derive(Serialize)]
struct Number {
    number: u64,
}

fn room_name(number: impl Display) -> String {
    format!("room{number}")
}

/// Runs as a task of its own. On one thread it has ended before the next request is read.
async fn connected(socket: SocketRef) {
    let counted = Arc::new(AtomicU64::new(0));
    let total = counted.clone();
    socket.join(ROOM);
    socket.on(
        "enter",
        async |socket: SocketRef, Data::<Rooms>(entered), answer: AckSender| {
            let names: Vec<String> = entered.rooms.iter().map(room_name).collect();
            let number = names.len() as u64;
            socket.join(names);
            let _ = answer.send(&Number { number });
        },
    );
    socket.on("count", async move |Data::<Payload>(_)| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    socket.on(
        "total",
        async move |Data::<Payload>(_), answer: AckSender| {
            let number = total.fetch_add(1, Ordering::Relaxed) + 1;
            let _ = answer.send(&Number { number });
        },
    );
}

/// Broadcasts `count` messages, numbered from `first`, with a text of `size` bytes.
async fn broadcast(
    Path((first, count, size)): Path<(u64, u64, usize)>,
    State(sockets): State<SocketIo>,
) {
    let mut payload = Payload::new(first, size);
    for _ in 0..count {
        payload.send(sockets.to(ROOM)).await;
    }
}

/// Broadcasts that are begun at once. An emit in one process does not wait, so they are sent as
/// otherwise.
async fn burst(
    Path((first, count, size, _together)): Path<(u64, u64, usize, u64)>,
    sockets: State<SocketIo>,
) {
    broadcast(Path((first, count, size)), sockets).await;
}

/// Broadcasts that each leave out one client, which is alone in a small room.
async fn except(
    Path((first, count, size, _together, clients)): Path<(u64, u64, usize, u64, u64)>,
    State(sockets): State<SocketIo>,
) {
    let mut payload = Payload::new(first, size);
    for _ in 0..count {
        let left_out = room_name(payload.number % clients);
        payload.send(sockets.to(ROOM).except(left_out)).await;
    }
}

/// Sends a message to each of these small rooms, whose numbers are separated by slashes.
async fn to_rooms(
    Path((first, size, rooms)): Path<(u64, usize, String)>,
    State(sockets): State<SocketIo>,
) {
    let mut payload = Payload::new(first, size);
    for room in rooms.split('/') {
        payload.send(sockets.to(room_name(room))).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = env::args().nth(1).and_then(|port| port.parse().ok());
    let (layer, sockets) = SocketIo::builder()
        .max_buffer_size(BUFFERED_PACKETS)
        .build_layer();
    sockets.ns("/", connected);
    let app = Router::new()
        .route("/broadcast/{first}/{count}/{size}", post(broadcast))
        .route("/broadcast/{first}/{count}/{size}/{together}", post(burst))
        .route(
            "/except/{first}/{count}/{size}/{together}/{clients}",
            post(except),
        )
        .route("/rooms/{first}/{size}/{*rooms}", post(to_rooms))
        .layer(layer)
        .with_state(sockets);
    // The other systems do not wait for more to send either.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.expect("a port")))
        .await?
        .tap_io(|connection| connection.set_nodelay(true).expect("TCP_NODELAY"));
    axum::serve(listener, app).await
}
