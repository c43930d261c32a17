"""The lab at a prompt: the demo's fabric and tenants, Mininet's command line, and `pliant` as one more command of
it."""

from __future__ import annotations

import subprocess
import sys

from mininet.cli import CLI
from rich.console import Console

from apps.lab.demo import create_tenants
from apps.lab.fabric import LOG, Fabric

_HINTS = f"""
Two tenants with the same addresses: red has h1, h3, h5 and blue h2, h4, h6, each 10.0.0.11, .12, .13.  Try:

  h1 ping -c 3 10.0.0.12                    red's other host, two hops away
  pliant get ports                          what was asked for, and how it stands
  pliant get switches
  sh ovs-ofctl -O OpenFlow13 dump-flows leaf1
  sh tail {LOG}
  exit                                      nothing stays behind
"""


class Prompt(CLI):  # type: ignore[misc]
    """Mininet's prompt, with the `pliant` command."""

    prompt = "lab> "

    def do_pliant(self, line: str) -> None:
        """Run the pliant command against the lab's controller."""
        subprocess.run(f"{sys.executable} -m apps.cli {line}", shell=True, check=False)


def run(fabric: Fabric, console: Console) -> None:
    """Bring everything up, then hand over to the user."""
    with console.status("starting pliantd, two spines, three leaves, six hosts"):
        fabric.start_pliantd()
        fabric.start_network()
        fabric.wait_until_known()
        create_tenants(fabric)
    console.print(_HINTS, highlight=False, markup=False, soft_wrap=True)
    Prompt(fabric.net)
