"""The bearer token: made at first start, in a file that only its owner reads."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from pathlib import Path

from controller.model.errors import Unauthenticated

MIN_TOKEN_CHARS = 16
_TOKEN = re.compile("[ -~]+")
"""What a header can carry."""


class TokenFileError(Exception):
    """The token file cannot be used; the message says which, why, and what to do."""


def ensure_token(path: Path) -> str:
    """The token of the file, which is made (0600, in a directory of 0700) if it does not exist."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _read(path)
        token = secrets.token_urlsafe(32)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(token + "\n")
        except OSError:
            path.unlink()  # half a token would refuse every later start
            raise
    except OSError as error:
        raise TokenFileError(f"cannot read or make the token file {path}: {error.strerror}") from error
    return token


def _read(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        raise TokenFileError(f"others can read the token file {path}: run chmod 600 on it, and change the token")
    token = path.read_bytes().decode("ascii", "replace").strip()
    if token and not _TOKEN.fullmatch(token):
        raise TokenFileError(f"what is in {path} is no token: remove it to get a new one")
    if len(token) < MIN_TOKEN_CHARS:
        raise TokenFileError(f"the token in {path} has under {MIN_TOKEN_CHARS} characters: remove it to get a new one")
    return token


def check_bearer(header: str, token: str) -> None:
    """Unauthenticated unless the authorization header carries the token."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Unauthenticated(
            "UNAUTHENTICATED",
            "this call needs 'authorization: Bearer TOKEN' with the token of the controller's token file; "
            "set PLIANT_TOKEN_FILE to it, or call over the controller's unix socket",
        )
