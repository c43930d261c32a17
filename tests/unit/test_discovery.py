"""How a client finds the controller of its machine, and the token."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from pliant import discovery

from controller import config


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state directory, and no other."""
    for name in ("PLIANT_SERVER", "PLIANT_TOKEN", "PLIANT_TOKEN_FILE", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PLIANT_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(discovery, "SYSTEM_STATE_DIR", tmp_path / "none")
    return tmp_path


def test_client_and_controller_mean_the_same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client must not import the controller, so this holds them together."""
    monkeypatch.undo()
    monkeypatch.delenv("PLIANT_STATE_DIR", raising=False)
    assert discovery.state_dir() == config.default_state_dir()
    defaults = config.Config()
    assert defaults.grpc_unix.name == discovery.SOCKET_NAME
    assert defaults.token_file.name == discovery.TOKEN_NAME
    assert defaults.grpc.listen == discovery.DEFAULT_TARGET


def test_unix_socket_is_preferred(directory: Path) -> None:
    """It needs no token."""
    assert discovery.find_target() == discovery.DEFAULT_TARGET
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / discovery.SOCKET_NAME))
        assert discovery.find_target() == f"unix:{directory}/pliantd.sock"


def test_environment_goes_before_files(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$PLIANT_TOKEN, then $PLIANT_TOKEN_FILE, then the state directory, then nothing."""
    assert discovery.find_token() == ""
    (directory / "token").write_text("from the state directory\n")
    assert discovery.find_token() == "from the state directory"
    (directory / "other").write_text("from a file\n")
    monkeypatch.setenv("PLIANT_TOKEN_FILE", str(directory / "other"))
    assert discovery.find_token() == "from a file"
    monkeypatch.setenv("PLIANT_TOKEN", "given")
    assert discovery.find_token() == "given"
    monkeypatch.setenv("PLIANT_SERVER", "10.0.0.1:50051")
    assert discovery.find_target() == "10.0.0.1:50051"


def test_file_that_holds_no_token_is_named(directory: Path) -> None:
    """No header can carry it; gRPC would not say which file it came from."""
    (directory / "token").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="/token is no token"):
        discovery.find_token()


def test_under_sudo_the_callers_controller_is_found(
    directory: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sudo pliant` finds the controller that the user runs without sudo."""
    home = tmp_path_factory.mktemp("home")
    token = home / ".local/state/pliant/token"
    token.parent.mkdir(parents=True)
    token.write_text("of-the-caller\n")
    monkeypatch.setattr(discovery.os, "geteuid", lambda: 0)
    monkeypatch.setattr(discovery.pwd, "getpwuid", lambda uid: SimpleNamespace(pw_dir=str(home)))
    assert discovery.find_token() == ""
    monkeypatch.setenv("SUDO_UID", "1000")
    assert discovery.find_token() == "of-the-caller"
