"""pliantd: the controller process.

    pliantd                          run with the defaults (and /etc/pliant/pliantd.toml if there is one)
    pliantd config show|check        print the configuration that would be used, or only say whether it can be
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

import click
import structlog

from apps.pliantd.logs import configure_logs

DEFAULT_FILE = Path("/etc/pliant/pliantd.toml")


def _refuse_a_shadowed_package() -> None:
    """`controller` is a common name: say so when another one comes first, instead of failing somewhere deep."""
    import controller

    ours = Path(__file__).resolve().parents[2] / "controller"
    found = Path(controller.__file__ or "").resolve().parent
    if found != ours:
        raise click.ClickException(
            f"another package named 'controller' ({found}) hides Pliant's ({ours}); "
            "remove it from PYTHONPATH or start pliantd from another directory")


def _overrides(**options: Any) -> dict[str, Any]:
    names = {
        "state_dir": "state_dir", "openflow": "openflow.listen", "openflow_unix": "openflow.unix",
        "grpc": "grpc.listen", "grpc_unix": "grpc.unix", "metrics": "metrics_listen",
        "log_level": "log.level", "log_format": "log.format", "default_port_role": "fabric.default_port_role",
        "ovsdb": "ovsdb",
    }
    return {dotted: options[option] for option, dotted in names.items() if options[option] not in (None, ())}


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pliant", prog_name="pliantd")
@click.option("--config", "file", type=click.Path(path_type=Path, dir_okay=False),
              help=f"TOML file [{DEFAULT_FILE} if it exists]")
@click.option("--state-dir", type=click.Path(path_type=Path, file_okay=False),
              help="where the database, token and socket live")
@click.option("--openflow", metavar="HOST:PORT", help="where switches connect [127.0.0.1:6653]; '' for no TCP listener")
@click.option("--openflow-unix", metavar="PATH", help="a unix socket where switches on this machine connect")
@click.option("--ovsdb", metavar="REMOTE", multiple=True,
              help="a database of Open vSwitch, as ovs-vsctl names it (unix:/PATH, tcp:HOST:PORT); may be repeated")
@click.option("--grpc", metavar="HOST:PORT", help="where clients connect [127.0.0.1:50051]; '' for no TCP listener")
@click.option("--grpc-unix", metavar="PATH",
              help="the unix socket where clients connect [pliantd.sock in the state directory]")
@click.option("--metrics", metavar="HOST:PORT", help="serve Prometheus metrics there")
@click.option("--default-port-role", type=click.Choice(["AUTO", "EDGE", "FABRIC"]),
              help="of switch ports nobody declared [AUTO]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["auto", "text", "json"]))
@click.pass_context
def main(context: click.Context, /, file: Path | None, **options: Any) -> None:
    """Run Pliant's controller: switches connect to it by OpenFlow, clients by gRPC."""
    _refuse_a_shadowed_package()
    from controller.config import ConfigError, load

    try:
        config = load(file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None), _overrides(**options))
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    context.obj = config
    if context.invoked_subcommand is None:
        sys.exit(_run(config))


@main.group("config")
def config_group() -> None:
    """Look at the configuration without starting anything."""


@config_group.command("show")
@click.pass_obj
def config_show(config: Any) -> None:
    """Print the configuration that would be used, as JSON."""
    click.echo(config.model_dump_json(indent=2))


@config_group.command("check")
def config_check() -> None:
    """Say whether the configuration can be used."""
    click.echo("the configuration is valid")


def _run(config: Any) -> int:
    """Start, run until SIGTERM or SIGINT, stop.  Returns the exit status."""
    from apps.pliantd.process import Process, StartFailed

    configure_logs(config.log)
    log = structlog.get_logger()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        process = Process(config)
        process.start()
    except StartFailed as error:
        log.error("start_failed", error=str(error))
        return 1
    log.info("ready", openflow=process.openflow_address, grpc=process.grpc_address, state_dir=str(config.state_dir))
    stop.wait()
    log.info("stopping")
    clean = process.stop()
    log.info("stopped", clean=clean)
    return 0 if clean else 1


if __name__ == "__main__":
    main()
