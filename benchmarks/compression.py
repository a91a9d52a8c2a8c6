"""`python -m benchmarks.compression`: what `MEW_COMPRESSION` saves and costs, for lists of chat messages."""

from __future__ import annotations

import argparse
import json
import random
import time

from asgi_realtime import Frame

_WORDS = (
    "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but "
    "not what all were we when your can said there use an each which she do how their if will up other about out many"
).split()
_SIZES = (1_024, 4_096, 16_384, 65_536)
_SECONDS = 0.5


def _messages(size: int) -> str:
    """A list of chat messages, as JSON of about this size."""
    dice = random.Random(size)
    found: list[dict[str, object]] = []
    while len(text := json.dumps(found)) < size:
        author = {"id": dice.randrange(10**12), "name": dice.choice(_WORDS).title()}
        content = " ".join(dice.choices(_WORDS, k=dice.randrange(3, 30)))
        found.append({"id": dice.randrange(10**15), "author": author, "content": content})
    return text


def main() -> None:
    """Measure, and print a table."""
    argparse.ArgumentParser(prog="python -m benchmarks.compression", description=__doc__).parse_args()
    print("| bytes | compressed | processor time, µs, once for all clients |\n|---|---|---|")
    for size in _SIZES:
        text = _messages(size)
        wire, count = Frame(text).wire, 0
        begun = time.process_time()
        while time.process_time() - begun < _SECONDS:
            deflated = Frame(text).deflated
            count += 1
        used = (time.process_time() - begun) / count * 1e6
        print(f"| {len(wire)} | {len(deflated)} ({len(deflated) / len(wire):.0%}) | {used:.0f} |")


if __name__ == "__main__":
    main()
