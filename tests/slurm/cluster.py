"""A Slurm of one node, from the templates beside this file: as root, without systemd and cgroups.

Its two GPUs are none. One that Slurm shows to jobs in `CUDA_VISIBLE_DEVICES` must be a character device:
these are `/dev/null`s.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent


class Cluster:
    """munged, slurmctld and slurmd in a folder of their own.

    Args:
        folder: Empty, readable by all, with a path of fewer than 80 characters: a socket lies in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().partition(".")[0]
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        for name in ("state", "spool", "log", "fake"):
            (self.folder / name).mkdir()
        for number in range(2):
            os.mknod(self.folder / "fake" / f"nvidia{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        ports = free_ports(2)
        for name in ("slurm.conf", "gres.conf"):
            text = (HERE / f"{name}.in").read_text().replace("@DIR@", str(self.folder))
            text = text.replace("@HOST@", self.host)
            for number, port in enumerate(ports, start=1):
                text = text.replace(f"@PORT_{number}@", str(port))
            (self.folder / name).write_text(text)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self.call(
            "munged",
            "--force",
            f"--socket={self.folder}/munge.socket",
            f"--key-file={key}",
            f"--pid-file={self.folder}/munged.pid",
            f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={self.folder}/munged.seed",
        )
        self.call("slurmctld")
        self.start_slurmd()

    def start_slurmd(self) -> None:
        self.call("slurmd")
        wait_for(
            lambda: "idle" in self.call("sinfo", "-h", "-o", "%T") or self.jobs("RUNNING"), "the node", 30
        )

    def kill_slurmd(self) -> None:
        """As kill -9 does; the steps of jobs are processes of their own and go on."""
        self._end("slurmd", signal.SIGKILL)
        (self.folder / "slurmd.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        with suppress(subprocess.SubprocessError):
            for job in self.jobs("PENDING") + self.jobs("RUNNING"):
                self.call("scancel", job)
            wait_for(lambda: not self.jobs("RUNNING") and not self.jobs("COMPLETING"), "the jobs' end", 20)
        for name in ("slurmd", "slurmctld", "munged"):
            self._end(name, signal.SIGTERM)

    def jobs(self, state: str) -> list[str]:
        """Return the ids of the jobs in a state."""
        return self.call("squeue", "-h", "--array", f"--states={state}", "-o", "%i").split()

    def call(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise subprocess.SubprocessError(f"{command}: {done.stderr or done.stdout}")
        return done.stdout

    def _end(self, name: str, number: int) -> None:
        """Signal a daemon of this folder, and wait until it is gone."""
        try:
            pid = int((self.folder / f"{name}.pid").read_text())
            os.kill(pid, number)
        except (OSError, ValueError):
            return
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), name, 20)


def wait_for(is_so: Callable[[], object], what: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
