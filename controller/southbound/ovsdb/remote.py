"""Where an OVSDB server is, in the words of ovs-vsctl: unix:PATH, tcp:HOST:PORT, ssl:HOST:PORT.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A place to connect to: a path, or a host and a port."""

    text: str
    path: str = ""
    host: str = ""
    port: int = 0
    tls: bool = False

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Self:
        """ValueError if it is none."""
        kind, _, place = text.partition(":")
        if kind == "unix" and place.startswith("/"):
            return cls(text=text, path=place)
        host, _, port = place.rpartition(":")
        if kind in ("tcp", "ssl") and host.strip("[]") and port.isdecimal() and 0 < int(port) <= 65_535:
            return cls(text=text, host=host.strip("[]"), port=int(port), tls=kind == "ssl")
        raise ValueError(f"{text!r} is not unix:/PATH, tcp:HOST:PORT or ssl:HOST:PORT")
