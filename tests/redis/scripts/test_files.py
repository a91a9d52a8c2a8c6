"""Each script is a file with a test of its own."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

from asgi_realtime.redis import scripts as package
from asgi_realtime.redis.scripts import Script, sha
from tests.redis.scripts.conftest import ScriptRedis


def test_each_script_has_a_file_and_a_test() -> None:
    folder = files(package.__package__ or "") / "scripts"
    assert {file.name for file in folder.iterdir()} == {f"{script}.lua" for script in Script}
    tests = {file.name for file in Path(__file__).parent.glob("test_*.py")}
    assert tests == {f"test_{script}.py" for script in Script} | {"test_files.py"}


def test_redis_knows_a_script_by_the_same_sum(scripts: ScriptRedis) -> None:
    for script in Script:
        text = (files("asgi_realtime.redis") / "scripts" / f"{script}.lua").read_bytes()
        assert scripts.client.execute_command("SCRIPT", "LOAD", text) == sha(script).encode()
        assert hashlib.sha1(text, usedforsecurity=False).hexdigest() == sha(script)
