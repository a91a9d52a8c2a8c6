from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.json_text import MAX_NESTING, JSONReader, MalformedJSON, Structure
from asgi_realtime.values.text import repaired

LIMITS = Limits()
READER = JSONReader()
NOISE = '[]{}"\\eE.#,: 0a\n好😀\ud83d\ude00\udcff'

texts = st.text(st.sampled_from(NOISE), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=60,
)


def containers(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + sum(map(containers, value.values() if isinstance(value, dict) else value))


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


def mended(value: Any) -> Any:
    """The value with every string and key repaired, by an independent implementation."""
    if isinstance(value, str):
        return repaired(value)
    if isinstance(value, list):
        return [mended(item) for item in value]
    if isinstance(value, dict):
        return {mended(key): mended(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("padding", ["", " " * 200, " " * 5_000, " " * 20_000])
@given(value=values, ascii=st.booleans())
def test_output_of_json_dumps_is_read(value: Any, ascii: bool, padding: str) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    if not ascii:
        text = repaired(text)  # UTF-8 cannot represent a lone surrogate
    assert READER.read(text + padding, LIMITS) == mended(json.loads(text))


@given(values)
def test_the_structure_counts_containers_and_depth(value: Any) -> None:
    structure = Structure(json.dumps(value))
    assert structure.containers == containers(value)
    for levels in (0, 1, 2, 3, 8, 9, 20):
        assert structure.is_deeper_than(levels) is (depth(value) > levels)


@pytest.mark.parametrize("levels", [1, 8, 9, 63, 64, 65, 200])
@pytest.mark.parametrize("form", ["[]", '{"a":0}', '{"[":[]}', '[{"]":[0]},"]"]', '["\\"]",[]]', '[[],["\\\\",[]]]'])
def test_depth_is_seen_whatever_is_in_strings(form: str, levels: int) -> None:
    inner = json.loads(form)
    value = inner
    for number in range(levels):
        value = [value] if number % 2 else {"]}": value, "}": "[{"}
    text = json.dumps(value)
    assert Structure(text).is_deeper_than(MAX_NESTING) is (depth(value) > MAX_NESTING)
    if depth(value) <= MAX_NESTING:
        assert READER.read(text, LIMITS) == value
    else:
        with pytest.raises(ProtocolError, match="deeply"):
            READER.read(text, LIMITS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"see you \\ud83d"', "see you \ufffd"),
        ('"see you \\uD83D"', "see you \ufffd"),
        ('"\\ude00 again"', "\ufffd again"),
        ('"\\ud83d\\ude00\\ud83d"', "😀\ufffd"),
        ('"\\ud83d\\ud83d\\ude00\\ude00"', "\ufffd😀\ufffd"),
        ('"\\\\ud83d"', "\\ud83d"),
        ('"\\\\\\ud83d"', "\\\ufffd"),
        ('"\\\\\\\\ud83d \\ud83d"', "\\\\ud83d \ufffd"),
        ('"\\ud83dx\\ude00"', "\ufffdx\ufffd"),
        ('"\\ud83d\\\\ude00"', "\ufffd\\ude00"),
        ('"\\ud83d\\u0041\\n\\""', '\ufffdA\n"'),
        ('{"\\ud83d":{"k":["\\udfff"]}}', {"\ufffd": {"k": ["\ufffd"]}}),
    ],
)
def test_halves_of_surrogate_pairs_are_repaired(text: str, expected: Any) -> None:
    assert READER.read(text, LIMITS) == expected
    assert READER.read(f"[{text},{'[0],' * 100}0{' ' * 20_000}]", LIMITS)[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1,]",
        "nul",
        '"\\ud83"',
        '"\\ud83g"',
        '"\ud83d"',
        '"\x00\\ud83d"',
        '"\x00\x00\\ud83d"',
        "[NaN]",
        "[Infinity]",
        "[1e999]",
        "[-1e999]",
        "1" * 5_000,
        '"a" "b"',
        "[" * 30,
        "]" * 300,
        '"' + "[" * 300,
        "[0" + ",1e999" * 2_000 + "]",
    ],
)
@pytest.mark.parametrize("padding", ["", " " * 5_000])
def test_text_that_is_not_json_is_refused(text: str, padding: str) -> None:
    with pytest.raises(MalformedJSON):
        READER.read(text + padding, LIMITS)


MANY: dict[str, Callable[[int], str]] = {
    "lists": lambda count: "[" + ",".join(["[]"] * (count - 1)) + "]",
    "objects": lambda count: "[" + ",".join(["{}"] * (count - 1)) + "]",
    "nested": lambda count: "[0" + f",{'[' * 49}{']' * 49}" * ((count - 1) // 49) + ",[]" * ((count - 1) % 49) + "]",
    "between brackets in texts": lambda count: "[" + ",".join(['["]["]'] * (count - 1)) + "]",
    "in objects": lambda count: "{" + ",".join(f'"{number}]":[]' for number in range(count - 1)) + "}",
}


@pytest.mark.parametrize("kind", MANY)
def test_as_many_lists_and_objects_as_allowed(kind: str) -> None:
    limits = Limits(message_parts=5_000)
    text = MANY[kind](5_000)
    assert READER.read(text, limits) == json.loads(text)
    for many in (MANY[kind](5_001), MANY[kind](20_000)):
        with pytest.raises(ProtocolError, match="too many"):
            READER.read(many, limits)


@pytest.mark.parametrize(
    "value",
    [
        "[{" * 100_000,
        "]}" * 100_000,
        '"[\\"' * 50_000,
        "1e300, 0.5," * 50_000,
        "0" * 500_000,
        ["[", "]", "{", '"'] * 50_000,
        ["\\", '\\"', '"', ""] * 50_000,
        [True, False, None, 0] * 50_000,
        {"e": "E" * 500_000},
        {str(number): "[[" for number in range(50_000)},
        [0.1] * 200_000,
    ],
)
def test_brackets_within_strings_do_not_count(value: Any) -> None:
    text = json.dumps(value)
    assert Structure(text).parts <= 1
    assert READER.read(text, LIMITS) == value


@pytest.mark.parametrize("number", ["1e300", "5e-324", "1E23", "2.5e-7", "9007199254740993.0"])
def test_numbers_with_exponents_are_limited(number: str) -> None:
    few = f"[{','.join([number] * 1_000)}]"
    many = f"[{','.join([number] * 20_000)}]"
    too_many = f"[{','.join([number] * 30_000)}]"
    assert READER.read(few, LIMITS) == [float(number)] * 1_000
    if "." not in number:  # a decimal point counts too
        assert READER.read(many, LIMITS) == [float(number)] * 20_000
    with pytest.raises(ProtocolError, match="too many"):
        READER.read(too_many, LIMITS)


def test_integers_of_thousands_of_digits_are_limited() -> None:
    long = "1" * 4_000
    assert READER.read(f"[{long}]", LIMITS) == [int(long)]
    with pytest.raises(ProtocolError, match="too many"):
        READER.read(f"[{','.join([long] * 200)}]", LIMITS)


def test_many_escaped_halves_are_repaired() -> None:
    limits = Limits(message_parts=1_000)
    assert READER.read('"' + "\\ud83d" * 1_000 + '"', limits) == "\ufffd" * 1_000
    assert READER.read('"' + "\\ud83d\\ude00" * 5_000 + '"', limits) == "😀" * 5_000
    with pytest.raises(ProtocolError, match="too many"):
        READER.read('"' + "\\ud83d" * 1_001 + '"', limits)
    assert READER.read('"' + "\\\\" * 5_000 + '"', limits) == "\\" * 5_000
    with pytest.raises(ProtocolError, match="too many"):
        READER.read('"' + "\\\\" * 1_000 + "\\ud83d" + '"', limits)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("text", [f'"{"a" * 50_000}"', "[" * 50_000, "{" + " " * 50_000])
def test_the_garbage_collector_is_left_as_it_was(text: str, enabled: bool) -> None:
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        try:
            READER.read(text, LIMITS)
        except ProtocolError:
            pass
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


@given(st.text(st.sampled_from(NOISE + "tru0fals"), max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for padding in ("", " " * 5_000):
        try:
            READER.read(text + padding, LIMITS)
        except ProtocolError:
            pass
