"""The servers under test. Each accepts all clients, puts them into one room, and has the same interface.

- `POST /broadcast/FIRST/COUNT/SIZE` broadcasts COUNT messages, numbered from FIRST, with a text of SIZE bytes;
- the event `count` is counted per connection; `total` is counted too, and answered with the number;
- a client of a JSON system connects to `/room` and is accepted after its first frame, `auth`.
"""
