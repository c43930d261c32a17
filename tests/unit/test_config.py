"""The configuration: where values come from, and what is said of wrong ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.config import Config, ConfigError, load


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PLIANT_")]:
        monkeypatch.delenv(name)


def test_config_without_anything_is_the_defaults() -> None:
    """Neither file nor environment is needed."""
    assert load(None) == Config()


def test_config_prefers_the_command_line_to_the_environment_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source overrides key by key, and leaves what it does not name."""
    file = tmp_path / "pliantd.toml"
    text = 'state_dir = "/file"\n[openflow]\nlisten = "127.0.0.1:1"\nunix = "/file.sock"\n[grpc]\nlisten = ""\n'
    file.write_text(text)
    monkeypatch.setenv("PLIANT_STATE_DIR", "/environment")
    monkeypatch.setenv("PLIANT_OPENFLOW__LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("PLIANT_GRPC__LISTEN", "127.0.0.1:3")
    config = load(file, {"grpc.listen": "127.0.0.1:4"})
    assert config.state_dir == Path("/environment")
    assert (config.openflow.listen, config.openflow.unix, config.grpc.listen) == (
        "127.0.0.1:2", "/file.sock", "127.0.0.1:4")


def test_config_ignores_the_clients_part_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """PLIANT_TOKEN and the like are the client's, and no keys of the controller."""
    monkeypatch.setenv("PLIANT_TOKEN", "secret")
    monkeypatch.setenv("PLIANT_SERVER", "192.0.2.1:50051")
    assert load(None) == Config()


def test_config_ignores_what_kubernetes_says_of_a_service_called_pliant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its service links look like settings; as soon as they do not look like links, they are settings again."""
    links = {
        "SERVICE_HOST": "10.0.0.11", "SERVICE_PORT": "50051", "SERVICE_PORT_GRPC_TLS": "50051",
        "PORT": "tcp://10.0.0.11:50051", "PORT_50051_TCP": "tcp://10.0.0.11:50051", "PORT_50051_TCP_PROTO": "tcp",
        "PORT_50051_TCP_PORT": "50051", "PORT_50051_TCP_ADDR": "10.0.0.11", "PORT_6343_UDP": "udp://10.0.0.11:6343",
    }
    for name, value in links.items():
        monkeypatch.setenv(f"PLIANT_{name}", value)
    assert load(None) == Config()
    for name, value in (("PORT", "50051"), ("PORT_GRPC", "50051"), ("SERVICE", "x"), ("SERVICE_HOSTS", "x")):
        with monkeypatch.context() as context:
            context.setenv(f"PLIANT_{name}", value)
            with pytest.raises(ConfigError, match=f"unknown variable PLIANT_{name};"):
                load(None)


@pytest.mark.parametrize(("name", "says"), [
    ("PLIANT_STATEDIR", "did you mean PLIANT_STATE_DIR?"),
    ("PLIANT_OPENFLOW_LISTEN", "did you mean PLIANT_OPENFLOW__LISTEN?"),
    ("PLIANT_TOKEN_FIEL", "did you mean PLIANT_TOKEN_FILE?"),
    ("PLIANT_XYZZY", "keys are PLIANT_<SECTION>__<KEY>"),
])
def test_config_refuses_variables_that_nobody_reads(name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key misspelt in the environment is as wrong as one in the file."""
    monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigError, match=name) as caught:
        load(None)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[openflow]\nlistne = ""', "unknown key 'openflow.listne'; did you mean 'listen'?"),
        ('[openflwo]\nlisten = ""', "unknown key 'openflwo'; did you mean 'openflow'?"),
        ('[grpc]\nlisten = "50051"', "grpc.listen: Value error, '50051' is not HOST:PORT"),
        ('[grpc]\nkey = "key.pem"', "certificate and key go together"),
        ("[reconcile]\ndrift_period_s = 0", "reconcile.drift_period_s"),
        ('[log]\nlevel = "loud"', "'loud' is not a level"),
        ("listen = ", "is not valid TOML"),
        ('[[ovsdb]]\nremote = "db.sock"', "ovsdb.0.remote: Value error, 'db.sock' is not unix:/PATH"),
        ('[[ovsdb]]\nremot = "unix:/x"', "unknown key 'ovsdb.0.remot'; did you mean 'remote'?"),
        ('[[ovsdb]]\nremote = "ssl:h:6640"', "ssl needs ca"),
        ('[[ovsdb]]\nremote = "ssl:h:6640"\nca = "x"\nkey = "y"', "certificate and key go together"),
        ("ovsdb = 5", "ovsdb: Input should be a valid tuple"),
        ("[fabric]\nbfd_interval_ms = -1", "fabric.bfd_interval_ms"),
    ],
)
def test_config_names_the_wrong_key_and_what_would_do(tmp_path: Path, text: str, says: str) -> None:
    """One line for each problem."""
    file = tmp_path / "pliantd.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert says in str(refused.value)
    assert str(file) in str(refused.value)


def test_config_takes_databases_from_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables or plain remotes in the file, words in the environment, a list from the command line."""
    def remotes(overrides: dict[str, object] | None = None, text: str = "") -> list[str]:
        file = tmp_path / "pliantd.toml"
        file.write_text(text)
        return [server.remote for server in load(file, overrides).ovsdb]

    assert remotes() == []
    assert remotes(text='[[ovsdb]]\nremote = "unix:/a"\n[[ovsdb]]\nremote = "tcp:h:1"') == ["unix:/a", "tcp:h:1"]
    assert remotes(text='ovsdb = ["unix:/a"]') == ["unix:/a"]
    monkeypatch.setenv("PLIANT_OVSDB", "unix:/b tcp:h:2")
    assert remotes(text='ovsdb = ["unix:/a"]') == ["unix:/b", "tcp:h:2"]
    assert remotes({"ovsdb": ("unix:/c",)}) == ["unix:/c"]


def test_config_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(ConfigError, match=r"cannot read .*nothing.toml"):
        load(tmp_path / "nothing.toml")


def test_config_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """Nor here."""
    file = tmp_path / "pliantd.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"pliantd.toml is not valid TOML"):
        load(file)


def test_config_section_that_is_a_value_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the environment or the command line has a key for that section."""
    file = tmp_path / "pliantd.toml"
    file.write_text("grpc = 5")
    with pytest.raises(ConfigError, match="'grpc' is a section of keys"):
        load(file, {"grpc.listen": "127.0.0.1:0"})
    monkeypatch.setenv("PLIANT_GRPC__LISTEN", "127.0.0.1:0")
    with pytest.raises(ConfigError, match="'grpc' is a section of keys"):
        load(file)
