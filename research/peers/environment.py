"""Peers whose pins contradict falldet's: each runs in a virtual environment of its own and speaks JSON."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falldet.errors import FalldetError
from research import ROOT


@dataclass(frozen=True, slots=True)
class PeerEnvironment:
    """A peer and the interpreter it is installed for.

    Attributes:
        name: what tables call the peer.
        key: of its environment work_dirs/peers/KEY and its pins research/peers/requirements_KEY.txt.
        module: run in that environment; a request in JSON on standard input, an answer in JSON on standard output.
    """

    name: str
    key: str
    module: str

    @property
    def python(self) -> Path:
        """Interpreter of the environment, whether it is installed or not."""
        return ROOT / "work_dirs" / "peers" / self.key / "bin" / "python"

    @property
    def installation(self) -> str:
        """The command that installs the environment."""
        folder = f"work_dirs/peers/{self.key}"
        return (
            f"`python3 -m venv {folder} && "
            f"{folder}/bin/python -m pip install -r research/peers/requirements_{self.key}.txt`"
        )

    def ask(self, request: object, *options: str) -> Any:
        """Run the module and return its answer.

        Args:
            request: anything that JSON can hold; paths in it must be absolute.
            options: of the module's command line.

        Raises:
            FalldetError: the environment is not installed, or the module failed.
        """
        if not self.python.is_file():
            raise FalldetError(f"{self.name} is not installed; {self.installation} installs it")
        command = [str(self.python), "-m", self.module, *options]
        try:
            run = subprocess.run(
                command, input=json.dumps(request), capture_output=True, text=True, check=True, cwd=ROOT
            )
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
            raise FalldetError(f"{self.name} failed ({reason}); {self.installation} installs it anew") from None
        return json.loads(run.stdout)


NEURA = PeerEnvironment("neura-fall-detection 0.1.0", "neura", "research.peers.neura_events")
TRACKERS = PeerEnvironment("Roboflow's trackers 2.6.1", "trackers", "research.peers.roboflow_trackers")
