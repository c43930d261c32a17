"""The connection of one run of the command: made when it is first needed, so that offline commands need none."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from apps.cli.errors import DENIED, UNAVAILABLE, USAGE, Failure

if TYPE_CHECKING:
    from pliant import Client

CONNECT_TIMEOUT_S = 3.0


@dataclass(slots=True, kw_only=True)
class Session:
    """What the global options say."""

    server: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    _client: Client | None = field(default=None, init=False)

    @property
    def client(self) -> Client:
        """A client of a controller that answers.  Failure if none does."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Client:
        import grpc
        from pliant import Client
        from pliant.discovery import find_target

        target = self.server or find_target()
        _check_reachable(target)
        credentials = grpc.ssl_channel_credentials(self.ca_file.read_bytes()) if self.ca_file else None
        return Client(target, token=self._token(), credentials=credentials)

    def _token(self) -> str:
        from pliant.discovery import find_token, read_token

        try:
            return read_token(self.token_file) if self.token_file else find_token()
        except OSError as error:
            raise Failure(f"cannot read the token file {error.filename}: {error.strerror}", DENIED) from error
        except ValueError as error:
            raise Failure(str(error), DENIED) from error

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def _check_reachable(target: str) -> None:
    """Say at once that nobody listens, where gRPC would try again and again until a deadline."""
    try:
        if target.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(CONNECT_TIMEOUT_S)
                probe.connect(target.removeprefix("unix:").removeprefix("//"))
        elif "/" not in target:
            host, _, port = target.rpartition(":")
            if not host or not port.isdigit() or int(port) > 65_535:
                raise Failure(f"{target!r} is no address of a controller: write HOST:PORT or unix:PATH", USAGE)
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise Failure(
            f"no controller answers at {target}: {error.strerror or error}", UNAVAILABLE,
            advice="start pliantd, or name another one with --server or $PLIANT_SERVER",
        ) from error
