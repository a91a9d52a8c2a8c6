"""docs/guides/django.md: its five minutes as printed, and its other blocks in the project that they make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.browser_program import run_browser_program
from tests.support.paths import DOCS, WIRE
from tests.support.printed_page import LONG, build_wheel, printed_page, section

PAGE = DOCS / "guides/django.md"
OTHER_BLOCKS = re.compile(r"^```py\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.timeout(600)  # it may wait for other pages with this port
async def test_five_minutes_from_an_empty_folder_to_a_message(tmp_path: Path) -> None:
    five_minutes = section(PAGE, "Five minutes")
    wheels = build_wheel(tmp_path / "wheels") if LONG else None
    folder = tmp_path / "empty"
    folder.mkdir()
    with printed_page(folder, servers=["python manage.py runserver"], port=8000, wheels=wheels) as page:
        page.follow(five_minutes)
        await run_browser_program(WIRE / "django_page.mjs", "http://localhost:8000/")
        assert "Traceback" not in page.output, page.output
        page.stop()
        if LONG:
            return  # the other blocks need more packages than the five minutes
        _try_the_other_blocks(page.folder, OTHER_BLOCKS.findall(PAGE.read_text("utf-8")))
        imports = "import chat.settings_block, chat.users_block, chat.notify"
        page.run(f"MEW_JWT_SECRET={'s' * 32} python manage.py shell --command '{imports}'")


def _try_the_other_blocks(folder: Path, blocks: list[str]) -> None:
    (setting,) = [block for block in blocks if block.startswith("ASGI_REALTIME = {\n")]
    (users,) = [block for block in blocks if "by_session_or_token" in block]
    (notify,) = [block for block in blocks if "shared_task" in block]
    chat = folder / "chat"
    chat.joinpath("settings_block.py").write_text(
        f"{setting}\nfrom django.test import override_settings\nfrom asgi_realtime.django import get_settings\n"
        "with override_settings(ASGI_REALTIME=ASGI_REALTIME):\n"
        "    assert get_settings().ping_interval == 20\n"
    )
    chat.joinpath("users_block.py").write_text(users)
    chat.joinpath("notify.py").write_text(notify)
