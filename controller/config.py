"""The configuration of pliantd: defaults < TOML file < PLIANT_* environment < command line.

    [openflow]                      [grpc]                          [fabric]                       [reconcile]
    listen = "127.0.0.1:6653"       listen = "127.0.0.1:50051"      default_port_role = "AUTO"     drift_period_s = 15.0
    unix = ""                       unix = "" (state dir)           probe_period_s = 2.0
    certificate/key/ca = ""         certificate/key/ca = ""         bfd_interval_ms = 100

    [[ovsdb]]                       once for each server            [queues]
    remote = "unix:/var/run/openvswitch/db.sock"                    driver = "auto"
    certificate/key/ca = ""

An unknown key, or PLIANT_ variable, is an error that suggests the nearest known one.  In the environment a key is
PLIANT_<SECTION>__<KEY>, and PLIANT_<KEY> for those outside of sections.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from controller.fabric.ports import PortRole
from controller.southbound.ovsdb.remote import Remote
from controller.southbound.queues.probe import Preference

OUTSIDE_SECTIONS = ("state_dir", "metrics_listen", "ovsdb")
CLIENTS = frozenset({"server", "token", "token_file", "ca_file", "tenant", "network"})
"""PLIANT_ variables that are the client's, and no keys of the controller."""
SERVICE_LINK = re.compile(
    r"PLIANT_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=.*"
    r"|PLIANT_PORT=(tcp|udp|sctp)://.*")
"""What Kubernetes tells every container about a Service that is called `pliant`: nobody set it, and nobody reads it."""


class ConfigError(Exception):
    """The configuration cannot be used; the message says which key, why, and what would do."""


def default_state_dir() -> Path:
    """/var/lib/pliant for root, else below the user's XDG state directory."""
    if os.geteuid() == 0:
        return Path("/var/lib/pliant")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "pliant"


def split_address(address: str) -> tuple[str, int]:
    """'127.0.0.1:6653' or '[::1]:0' -> (host, port)."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65_535 or not host:
        raise ValueError(f"{address!r} is not HOST:PORT (for IPv6: [HOST]:PORT)")
    return host.strip("[]"), int(port)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listener(_Section):
    """Where to listen.  `listen` "" means no TCP listener; port 0 lets the system choose."""

    listen: str
    unix: str = ""
    certificate: str = ""
    key: str = ""
    ca: str = ""

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        if value:
            split_address(value)
        return value

    @model_validator(mode="after")
    def _pair(self) -> Listener:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together: give both or neither")
        return self


class OpenFlow(Listener):
    listen: str = "127.0.0.1:6653"
    handshake_timeout_s: float = Field(default=10.0, gt=0)
    echo_period_s: float = Field(default=5.0, gt=0)
    dead_after_s: float = Field(default=15.0, gt=0)


class Grpc(Listener):
    listen: str = "127.0.0.1:50051"


class Ovsdb(_Section):
    """A database of Open vSwitch.  It may hold many bridges; which of them are our switches, their datapath ids say."""

    remote: str
    certificate: str = ""
    key: str = ""
    ca: str = ""

    @field_validator("remote")
    @classmethod
    def _remote(cls, value: str) -> str:
        return str(Remote.parse(value))

    @model_validator(mode="after")
    def _tls(self) -> Ovsdb:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together: give both or neither")
        if Remote.parse(self.remote).tls and not self.ca:
            raise ValueError("ssl needs ca, the file of the authority that signed the server's certificate")
        return self


class FabricSection(_Section):
    default_port_role: PortRole = PortRole.AUTO
    """What a switch port is taken for that nobody declared: AUTO for labs, EDGE where every wire is declared."""
    probe_period_s: float = Field(default=2.0, gt=0)
    lost_after_probes: int = Field(default=3, ge=1)
    hold_down_s: float = Field(default=2.0, ge=0)
    """how long a link that went down must be quiet before it is used again; twice as long each time it flaps"""
    bfd_interval_ms: int = Field(default=100, ge=0, le=10_000)
    """Between the frames by which switches of a known database watch the links between them; 0: they do not."""


class Reconcile(_Section):
    drift_period_s: float = Field(default=15.0, gt=0)


class Queues(_Section):
    driver: Preference = Preference.AUTO
    """who makes the queues that enforce guarantees: what works on each switch, one of the two, or nobody"""


class Log(_Section):
    level: str = "info"
    format: str = "auto"
    """auto: colour on a terminal, else key=value; json"""

    @field_validator("level")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError(f"{value!r} is not a level: debug, info, warning or error")
        return value.lower()

    @field_validator("format")
    @classmethod
    def _format(cls, value: str) -> str:
        if value not in ("auto", "text", "json"):
            raise ValueError(f"{value!r} is not a format: auto, text or json")
        return value


class Config(_Section):
    """Everything an operator can set, with its defaults."""

    state_dir: Path = Field(default_factory=default_state_dir)
    metrics_listen: str = ""
    """HOST:PORT of the Prometheus endpoint; "" for none"""
    openflow: OpenFlow = OpenFlow()
    grpc: Grpc = Grpc()
    fabric: FabricSection = FabricSection()
    reconcile: Reconcile = Reconcile()
    queues: Queues = Queues()
    log: Log = Log()
    ovsdb: tuple[Ovsdb, ...] = ()

    @field_validator("ovsdb", mode="before")
    @classmethod
    def _remotes(cls, value: object) -> object:
        """The environment gives remotes with spaces between them, the command line a list of them."""
        servers = value.split() if isinstance(value, str) else value
        if not isinstance(servers, list | tuple):
            return servers
        return tuple({"remote": server} if isinstance(server, str) else server for server in servers)

    @property
    def database(self) -> Path:
        return self.state_dir / "pliant.db"

    @property
    def token_file(self) -> Path:
        return self.state_dir / "token"

    @property
    def grpc_unix(self) -> Path:
        return Path(self.grpc.unix) if self.grpc.unix else self.state_dir / "pliantd.sock"


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read the file (if any), the environment, and `overrides` like {"openflow.listen": ...}.

    ConfigError names every key that is wrong.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
    for name in sorted(os.environ):
        section, separator, key = name.removeprefix("PLIANT_").lower().partition("__")
        if name.startswith("PLIANT_") and separator:
            _section(values, section)[key] = os.environ[name]
        elif name.startswith("PLIANT_") and section in OUTSIDE_SECTIONS:
            values[section] = os.environ[name]
        elif name.startswith("PLIANT_") and section not in CLIENTS and not _is_service_link(name):
            raise ConfigError(f"the environment: unknown variable {name}; {_nearest_variable(name)}")
    for dotted, value in (overrides or {}).items():
        place, _, key = dotted.rpartition(".")
        (_section(values, place) if place else values)[key] = value
    try:
        return Config(**values)
    except ValidationError as error:
        raise ConfigError(_explain(error, str(path) if path else "the configuration")) from error


def _is_service_link(name: str) -> bool:
    return SERVICE_LINK.fullmatch(f"{name}={os.environ[name]}") is not None


def _nearest_variable(name: str) -> str:
    sections = [key for key in Config.model_fields if key not in OUTSIDE_SECTIONS]
    known = [f"PLIANT_{key.upper()}" for key in (*OUTSIDE_SECTIONS, *sorted(CLIENTS))]
    known += [f"PLIANT_{section}__{key}".upper() for section in sections for key in _known([section])]
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else "keys are PLIANT_<SECTION>__<KEY>"


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.setdefault(name, {})
    if not isinstance(section, dict):
        raise ConfigError(f"{name!r} is a section of keys and cannot be a value: write [{name}] and the keys below it")
    return section


def _explain(error: ValidationError, source: str) -> str:
    lines = []
    for problem in error.errors():
        place = [str(part) for part in problem["loc"]]
        dotted = ".".join(place)
        if problem["type"] == "extra_forbidden":
            known = _known(place[:-1])
            near = difflib.get_close_matches(place[-1], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(known)
            lines.append(f"{source}: unknown key {dotted!r}; {hint}")
        else:
            lines.append(f"{source}: {dotted}: {problem['msg']}")
    return "\n".join(lines)


def _known(place: list[str]) -> list[str]:
    model: Any = Config
    for part in place:
        if not part.isdecimal():  # the place in a list
            model = model.model_fields[part].annotation
            model = next(iter(get_args(model)), model)
    return sorted(model.model_fields)
