"""The lab at a prompt: the demo's fabric and tenants, or any topology with all its hosts in one network; Mininet's
command line, and `pliant` as one more command of it."""

from __future__ import annotations

import subprocess
import sys

from mininet.cli import CLI
from mininet.log import setLogLevel
from rich.console import Console

from apps.lab.crew import create_tenants
from apps.lab.fabric import LOG, Fabric, FabricError


class Prompt(CLI):  # type: ignore[misc]
    """Mininet's prompt, with the `pliant` command."""

    prompt = "lab> "

    def do_pliant(self, line: str) -> None:
        """Run the pliant command against the lab's controller."""
        subprocess.run(f"{sys.executable} -m apps.cli {line}", shell=True, check=False)


def start(fabric: Fabric) -> None:
    """Bring up the controller and the network."""
    fabric.start_pliantd()
    fabric.start_network()
    fabric.wait_until_known()


def run(fabric: Fabric, console: Console, *, two_tenants: bool) -> None:
    """Let the hosts talk, as the demo's two tenants or all of them in one network, then hand over to the user."""
    if two_tenants:
        create_tenants(fabric)
        said = "Two tenants with the same addresses: red has h1, h3, h5 and blue h2, h4, h6, each 10.0.0.11, .12, .13."
        ping = ("h1 ping -c 3 10.0.0.12", "red's other host, two hops away")
    else:
        _adopt()
        last = fabric.topo.hosts()[-1]
        said = f"All {len(fabric.topo.hosts())} hosts are in one network of the tenant lab.{_sites(fabric)}"
        ping = (f"h1 ping -c 3 {fabric.host(last).IP()}", f"{last}, the last of them")
    hints = [
        ping,
        ("pliant get ports", "what was asked for, and how it stands"),
        ("pliant get switches", ""),
        (f"sh ovs-ofctl -O OpenFlow13 dump-flows {fabric.topo.switches()[0]}", ""),
        (f"sh tail {LOG}", ""),
        ("exit", "nothing stays behind"),
    ]
    shown = "\n".join(f"  {command:<42}{meaning}".rstrip() for command, meaning in hints)
    console.print(f"\n{said}  Try:\n\n{shown}\n", highlight=False, markup=False, soft_wrap=True)
    setLogLevel("output")  # what commands print, and not how the network was built
    Prompt(fabric.net)


def _adopt() -> None:
    """A port for every host, as a user makes them."""
    adopted = subprocess.run([sys.executable, "-m", "apps.cli", "lab", "adopt"], capture_output=True, text=True)
    if adopted.returncode != 0:
        raise FabricError(f"pliant lab adopt: {adopted.stderr.strip()}")


def _sites(fabric: Fabric) -> str:
    """Which switch is where, if the topology says."""
    switches = fabric.topo.switches()
    sites = [f"{name} {site}" for name in switches if (site := fabric.topo.nodeInfo(name).get("site"))]
    return f"\nThe sites are {', '.join(sites)}." if sites else ""
