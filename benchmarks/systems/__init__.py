"""The servers under test. Each accepts all clients, puts them into one room, and has the same interface.

- requests ask for broadcasts, and the event `enter` puts a client into small rooms: `benchmarks/load/main.c` describes
  both. A system without small rooms answers `POST /broadcast/…` only;
- the event `count` is counted per connection; `total` is counted too, and answered with the number;
- a client of a JSON system connects to `/room` and is accepted after its first frame, `auth`.
"""
