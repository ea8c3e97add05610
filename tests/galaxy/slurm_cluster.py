"""A Slurm of one node on this machine, with a partition of CPUs and one of a pretend GPU, all in one folder.

The machine's configuration of Slurm and Munge is neither read nor changed. The node pretends to have more memory
and more processors than there are, so that jobs of every size of the sample rules can be sent to it.
"""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from galaxy_server import GalaxyError, free_port, spawn, stop

START_SECONDS = 120
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={controller_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=0
KillWait=5
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
MpiDefault=none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=16 RealMemory=300000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


def slurm(*command: str) -> str:
    """The output of one of Slurm's commands."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


class Slurm(NamedTuple):
    """A running Slurm: the folder with all its files, and the name of its node."""

    folder: Path
    node: str

    def processes_of(self, job: str) -> list[int]:
        """The process ids of a running Slurm job; none when it does not run."""
        with contextlib.suppress(subprocess.SubprocessError):
            lines = slurm("scontrol", "listpids", job).splitlines()[1:]
            return [int(line.split()[0]) for line in lines if line.split()[0].isdecimal()]
        return []

    def completed_jobs(self) -> dict[str, dict[str, str]]:
        """What Slurm recorded of the jobs that ended: Slurm's job id -> its fields, such as Partition and JobState."""
        lines = (self.folder / "completed.txt").read_text().splitlines()
        jobs = [dict(field.split("=", 1) for field in line.split() if "=" in field) for line in lines]
        return {job["JobId"]: job for job in jobs}

    def wait_until_idle(self) -> None:
        """Wait until the node takes jobs."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(subprocess.SubprocessError):
                if "idle" in slurm("sinfo", "--noheader", f"--nodes={self.node}", "--format=%t"):
                    return
            if time.monotonic() > deadline:
                raise GalaxyError(f"Slurm did not start: see {self.folder}/slurmctld.out and slurmd.out")
            time.sleep(1)


@contextlib.contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """Start a Slurm, which every program started from here finds by SLURM_CONF."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        raise GalaxyError(f"no {', '.join(missing)} here: apt-get install slurm-wlm munge")
    for name in ("", "state", "spool"):
        (folder / name).mkdir(mode=0o755, parents=True, exist_ok=True)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    ports = {"controller_port": free_port(), "node_port": free_port()}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder, host=host, **ports))
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    processes = []
    try:
        # --force: the folder may belong to a group that can write.
        munge = ["munged", "--foreground", "--force", "--key-file", key, "--socket", folder / "munge.socket"]
        files = {"--log-file": "munged.log", "--pid-file": "munged.pid", "--seed-file": "munged.seed"}
        for option, name in files.items():
            munge += [option, folder / name]
        for command in (munge, ["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
            processes.append(spawn(command, folder, folder / f"{command[0]}.out"))
            time.sleep(2)
        running = Slurm(folder, host)
        running.wait_until_idle()
        yield running
    finally:
        with contextlib.suppress(subprocess.SubprocessError):
            end_all_jobs()
        stop(processes[::-1])


def end_all_jobs() -> None:
    """Cancel all jobs and wait for their end: the process that guards a job would outlive the node's daemon."""
    slurm("scancel", "--user=root")
    deadline = time.monotonic() + 30
    while slurm("squeue", "--noheader").strip() and time.monotonic() < deadline:
        time.sleep(1)
