"""Where a client finds the controller of this machine, and the token that opens it.

The controller keeps its token (mode 0600, made at its first start) and its unix socket in its state directory:
/var/lib/pliant if it runs as root, else ${XDG_STATE_HOME:-~/.local/state}/pliant.  Looked at are one's own, that of the
system and, under sudo, that of who called it: a lab's commands need root, its controller does not.

    target    $PLIANT_SERVER, else the unix socket of a state directory if one is there, else 127.0.0.1:50051
    token     $PLIANT_TOKEN, else the file $PLIANT_TOKEN_FILE, else the token file of a state directory
"""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

DEFAULT_TARGET = "127.0.0.1:50051"
SYSTEM_STATE_DIR = Path("/var/lib/pliant")
SOCKET_NAME = "pliantd.sock"
TOKEN_NAME = "token"


def state_dir() -> Path:
    """The state directory of a controller that this user would start; $PLIANT_STATE_DIR overrides it."""
    if override := os.environ.get("PLIANT_STATE_DIR"):
        return Path(override)
    if os.geteuid() == 0:
        return SYSTEM_STATE_DIR
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "pliant"


def _state_dirs() -> tuple[Path, ...]:
    """Where a controller of this machine may keep its state, the likeliest first."""
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() != 0 or not caller.isdigit():
        return state_dir(), SYSTEM_STATE_DIR
    try:
        home = Path(pwd.getpwuid(int(caller)).pw_dir)
    except KeyError:
        return state_dir(), SYSTEM_STATE_DIR
    return state_dir(), SYSTEM_STATE_DIR, home / ".local/state/pliant"


def find_target() -> str:
    """A gRPC target for the controller of this machine."""
    if target := os.environ.get("PLIANT_SERVER"):
        return target
    for directory in _state_dirs():
        if os.access(directory / SOCKET_NAME, os.R_OK | os.W_OK):
            return f"unix:{directory / SOCKET_NAME}"
    return DEFAULT_TARGET


def find_token() -> str:
    """The bearer token, or "" if there is none to be read: over the unix socket none is needed.

    Errors as those of read_token.
    """
    if token := os.environ.get("PLIANT_TOKEN"):
        return token
    if path := os.environ.get("PLIANT_TOKEN_FILE"):
        return read_token(Path(path))
    for directory in _state_dirs():
        if os.access(directory / TOKEN_NAME, os.R_OK):
            return read_token(directory / TOKEN_NAME)
    return ""


def read_token(path: Path) -> str:
    """The token in a file.  OSError if it cannot be read, ValueError if no header can carry what is in it."""
    token = path.read_bytes().strip()
    if not re.fullmatch(rb"[ -~]*", token):
        raise ValueError(f"what is in {path} is no token")
    return token.decode("ascii")
