"""The benchmarks measure systems with TLS and without. Without OpenSSL, a session says why it does not."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from asgi_realtime import create_token
from benchmarks import certificate, report
from benchmarks.__main__ import session
from benchmarks.build import build
from benchmarks.catalogue import LIMIT, OWN_JSON, SYSTEMS, named
from benchmarks.certificate import make_certificate
from benchmarks.generator import Generator
from benchmarks.plan import QUICK
from benchmarks.results import Results
from benchmarks.server import BrokenRun, Server
from benchmarks.systems.own import settings


@pytest.mark.parametrize("lacking", ["openssl", "libssl-dev"])
def test_a_session_says_what_it_needs_to_measure_tls(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if lacking == "openssl":
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        header = tmp_path / "openssl" / "ssl.h"
        header.parent.mkdir()
        header.write_text("#error\n")
        monkeypatch.setenv("CPATH", str(tmp_path))
    results = session(QUICK, list(SYSTEMS[:1]), ["tls"], seed=1)
    why = results.unmeasured["tls"]
    assert why.startswith(f"{lacking} is not installed")
    assert f"**TLS.** Not measured: {why}.\n" in report.markdown(results)
    assert f"not measured: TLS: {why}\n" in capsys.readouterr().err


def test_the_table_names_the_systems_without_tls() -> None:
    measured = {OWN_JSON[0]: [{"TLS W1 total": 14.0, "plain W1 total": 7.0}]}
    machine = {"processor": "some", "processors": "2", "kernel": "some"}
    tables = report.markdown(Results(machine=machine, plan=QUICK, rounds=measured))
    left_out = tables.partition("**TLS.**")[2].partition("Left out")[2].partition("\n")[0]
    assert LIMIT in left_out
    assert OWN_JSON[0] not in left_out
    assert f"| {OWN_JSON[0]} | 14.0 | 7.00 |" in tables


def test_clients_use_tls_and_check_the_certificate(tmp_path: Path) -> None:
    assert certificate.missing() is None
    build()
    system, tokens = named(OWN_JSON[0]), tmp_path / "tokens"
    tokens.write_text(create_token("ada", settings))
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    made, other = map(make_certificate, folders)
    with Server(system, None, tmp_path / "log", made.variables(system.tls)) as server:
        served = ssl.get_server_certificate(("127.0.0.1", server.port))
        assert served.split() == made.certificate.read_text().split()
        with Generator(server.port, system.dialect, tokens, None, made.certificate) as load:
            assert load.connect(5).connected == 5
            sent = load.broadcast(16, 0, 100_000)  # each is more than one record
            assert sent.deliveries == 16 * 5
        with (
            Generator(server.port, system.dialect, tokens, None, other.certificate) as load,
            pytest.raises(BrokenRun, match="certificate verify failed"),
        ):
            load.connect(1)
        with (
            Generator(server.port, system.dialect, tokens, None) as load,
            pytest.raises(BrokenRun, match="closed a client|refused"),
        ):
            load.connect(1)
