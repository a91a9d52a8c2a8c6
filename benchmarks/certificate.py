"""The certificate of the servers that are measured with TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.build import has_openssl_headers

_DAYS = 2


class Certificate(NamedTuple):
    """Files in PEM: the certificate, for 127.0.0.1, and its private key."""

    certificate: Path
    key: Path

    def variables(self, names: Mapping[str, str]) -> dict[str, str]:
        """The environment of a server, with `{certificate}` and `{key}` replaced by the files."""
        return {name: value.format(certificate=self.certificate, key=self.key) for name, value in names.items()}


def missing() -> str | None:
    """What this machine lacks to measure TLS, or None."""
    if shutil.which("openssl") is None:
        return "openssl is not installed, which makes the certificate"
    if not has_openssl_headers():
        return "libssl-dev is not installed, which the load generator needs"
    return None


def make_certificate(folder: Path) -> Certificate:
    """Make a certificate and a key on the curve P-256, valid for two days.

    Raises:
        subprocess.CalledProcessError: if openssl fails.
    """
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", str(_DAYS), "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return made
