"""Logs a command in to a console, by the form of its page."""

from __future__ import annotations

import http.client
import ssl
from typing import Final
from urllib.parse import urlencode

import click

from asgi_realtime.cli.console_address import EXAMPLE, ConsoleAddress
from asgi_realtime.cli.output import visible
from asgi_realtime.cli.running_app import AppUnavailable
from asgi_realtime.console.access import COOKIE

SECONDS: Final = 10.0
"""Seconds within which a console must answer."""
_BODY_BYTES: Final = 1_000
_BUSY: Final = frozenset({502, 503, 504})
"""Answers of a proxy whose app does not run, and of an app that is stopping."""


def log_in(address: ConsoleAddress, secret: str) -> str:
    """Send the secret. Returns the header `Cookie` of the session. This waits for the network.

    Raises:
        click.ClickException: the secret is wrong, or there is no console.
        AppUnavailable: the console cannot be reached, or takes no secret for now.
    """
    connect = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
    connection = connect(address.host, address.port, timeout=SECONDS)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": address.origin}
    try:
        connection.request("POST", f"{address.path}/login", urlencode({"secret": secret}), headers)
        answer = connection.getresponse()
        text = answer.read(_BODY_BYTES).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(address, error) from None
    finally:
        connection.close()
    # A proxy may set one too, by which it finds the process again.
    cookies = [cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie", [])]
    if answer.status == 303 and any(cookie.startswith(f"{COOKIE}=") for cookie in cookies):
        return "; ".join(cookies)
    raise refusal(address, answer.status, text, answer.headers.get("Retry-After"))


def unreachable(address: ConsoleAddress, error: OSError | http.client.HTTPException) -> Exception:
    """The error for a console that could not be asked."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return click.ClickException(f"the certificate of {address} is not accepted: {error.verify_message}")
    if isinstance(error, TimeoutError):
        return AppUnavailable(f"the console at {address} does not answer within {SECONDS:g} seconds")
    if isinstance(error, http.client.HTTPException | ssl.SSLError) and not isinstance(error, ConnectionError):
        return no_console(address, "what answers does not speak HTTP" + ("" if address.secure else ", or wants https:"))
    return AppUnavailable(f"the console at {address} cannot be reached: {error.strerror or error}")


def refusal(address: ConsoleAddress, status: int, text: str, retry_after: str | None) -> Exception:
    """The error for an answer that lets the command not in."""
    if status == 401:
        return click.ClickException(f"the console at {address} refuses MEW_CONSOLE_SECRET: it must be that of the app")
    if status == 429:
        when = f"in {retry_after} seconds" if retry_after and retry_after.isdecimal() else "later"
        return AppUnavailable(f"the console at {address} was given too many wrong secrets; try again {when}")
    if status in _BUSY:
        return AppUnavailable(f"the console at {address} is not available: HTTP {status}")
    if status == 403 and text == "forbidden":
        return click.ClickException(f"the console at {address} has no secret, so commands cannot log in")
    if status == 403 and "console's own page" in text:
        return click.ClickException(
            f"the app sees {address} under another name; use an address without a proxy, or set MEW_TRUSTED_PROXIES "
            "for the app"
        )
    return no_console(address, f"the answer is HTTP {status}")


def no_console(address: ConsoleAddress, why: str) -> click.ClickException:
    """The error for an address that is not that of a console."""
    return click.ClickException(f"there is no console at {visible(str(address))} ({why}); write --console {EXAMPLE}")
