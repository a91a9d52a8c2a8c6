"""The servers under test. Each lets everybody in, puts them into one room, and serves the same few things.

- `POST /broadcast/FIRST/COUNT/SIZE` broadcasts COUNT messages, numbered from FIRST, with a text of SIZE bytes;
- the event `count` is counted for each connection, `total` is counted too and answered with the number;
- a client of a JSON system connects to `/room` and is let in by its first frame, `auth`.
"""
