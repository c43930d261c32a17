"""The token: made once, kept to its owner, asked of every header."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.model.errors import Unauthenticated
from controller.northbound.auth import TokenFileError, check_bearer, ensure_token


def test_token_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """A restart finds the same; file and directory are closed to others."""
    path = tmp_path / "state" / "token"
    token = ensure_token(path)
    assert len(token) >= 40
    assert ensure_token(path) == token
    assert ensure_token(tmp_path / "other") != token
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("text", ["", "short\n"])
def test_token_that_is_no_secret_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file must not mean an empty token."""
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(TokenFileError, match="characters"):
        ensure_token(path)


@pytest.mark.parametrize("data", [b"\xcd" * 40, b"two lines\nin one file", b"\0" * 40])
def test_token_that_no_header_can_carry_is_refused(tmp_path: Path, data: bytes) -> None:
    """No client could ever send it."""
    path = tmp_path / "token"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(TokenFileError, match="no token: remove it"):
        ensure_token(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to write to")
def test_token_that_cannot_be_written_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With space again the next start makes one: an empty file would refuse every start."""
    path, opened = tmp_path / "token", os.open

    def on_full_disk(name: Path, *how: int) -> int:
        os.close(opened(name, *how))
        return opened("/dev/full", os.O_WRONLY)

    with monkeypatch.context() as disk:
        disk.setattr(os, "open", on_full_disk)
        with pytest.raises(TokenFileError, match="No space left"):
            ensure_token(path)
    assert len(ensure_token(path)) >= 40


def test_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It may have been read."""
    path = tmp_path / "token"
    ensure_token(path)
    path.chmod(0o640)
    with pytest.raises(TokenFileError, match="chmod 600"):
        ensure_token(path)


def test_token_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A directory in its place, say."""
    (tmp_path / "file").touch()
    with pytest.raises(TokenFileError, match="file/token"):
        ensure_token(tmp_path / "file" / "token")


@pytest.mark.parametrize("header", ["Bearer secret", "bearer secret", "Bearer  secret "])
def test_bearer_is_accepted(header: str) -> None:
    """The scheme is not case-sensitive (RFC 7235)."""
    check_bearer(header, "secret")


@pytest.mark.parametrize("header", ["", "secret", "Bearer", "Bearer ", "Basic secret", "Bearer secret2", "Bearer é"])
def test_anything_else_is_refused(header: str) -> None:
    """Also what is not ASCII."""
    with pytest.raises(Unauthenticated):
        check_bearer(header, "secret")
