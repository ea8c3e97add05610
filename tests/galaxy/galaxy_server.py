"""A Galaxy that serves this checkout's tools: `make serve` runs this file, the tests import it.

Runs on .venv/galaxy's Python, whose Galaxy it starts. Everything Galaxy writes stays in one work directory.
README.md in this folder says why it is set up like this.
"""

import argparse
import contextlib
import copy
import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import bioblend
from bioblend.galaxy import GalaxyInstance

ROOT = Path(__file__).resolve().parents[2]
GALAXY_BIN = Path(sys.prefix) / "bin"
TOOLS_VENV = ROOT / ".venv" / "tools"
DATA_MANAGER = ROOT / "data_managers" / "data_manager_dna_lm"
SERVE_DIR = ROOT / ".galaxy" / "serve"
# The files of test-data/ for a first try; most others are there to be refused.
DEMO_FILES = (
    "cftr_*.fasta",
    "snv_*.fasta",
    "indel_*.fasta.gz",
    "dbsnp*",
    "evaluate_brca1*",
    "sequences.fasta",
    "one_sequence.fasta.gz",
)
# Galaxy's tools for tables that the tutorial uses; its package galaxy-app has them.
TEXT_TOOLS = {
    "sort1": "filters/sorter.xml",
    "Filter1": "stats/filtering.xml",
    "Show beginning1": "filters/headWrapper.xml",
    "Cut1": "filters/cutWrapper.xml",
    "join1": "filters/joiner.xml",
}
ADMIN = "admin@example.org"
START_SECONDS = 600
# Jobs at a time, and planemo's tests at a time: while some wait for Galaxy, the others keep every processor busy.
N_PARALLEL = min(8, len(os.sched_getaffinity(0)) + 1)
# Galaxy's job configuration when nothing else is asked for: jobs run on this machine.
LOCAL_JOBS = {
    "runners": {"local": {"load": "galaxy.jobs.runners.local:LocalJobRunner", "workers": N_PARALLEL}},
    "execution": {"default": "local", "environments": {"local": {"runner": "local"}}},
}
STOP_SECONDS = 10
DATABASE_SECONDS = 60
MONITOR_SECONDS = 0.25


class GalaxyError(Exception):
    """A server did not start, or Galaxy did not load a tool."""


@dataclass(frozen=True)
class Server:
    """A running Galaxy: its URL and its administrator's key."""

    url: str
    key: str

    @property
    def admin(self) -> GalaxyInstance:
        """Galaxy's API as its administrator."""
        return GalaxyInstance(self.url, self.key)

    def data_table(self, name: str) -> list[dict[str, str]]:
        """The rows of a data table, each with its columns' names."""
        content = self.admin.tool_data.show_data_table(name)
        return [dict(zip(content["columns"], fields, strict=True)) for fields in content["fields"]]

    def tool_ids(self) -> set[str]:
        """The tools that Galaxy has loaded."""
        return {tool["id"] for tool in self.admin.tools.get_tools()}


def wrappers() -> dict[str, Path]:
    """The suite's tools and its data manager, id -> XML file (macros.xml describes none)."""
    paths = [*sorted((ROOT / "tools").glob("*.xml")), *DATA_MANAGER.glob("data_manager/*.xml")]
    roots = {path: ElementTree.parse(path).getroot() for path in paths}
    return {root.get("id"): path for path, root in roots.items() if root.tag == "tool"}


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def new_folder(path: Path) -> Path:
    """Make a folder, in place of the one that an earlier run left; returns it."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def write_json(path: Path, content: Any) -> str:
    """Write a configuration file and return its path; Galaxy reads it as YAML, and JSON is YAML."""
    path.write_text(json.dumps(content, indent=1))
    return str(path)


def write_xml(path: Path, root: ElementTree.Element) -> str:
    """Write an XML file and return its path."""
    ElementTree.ElementTree(root).write(path)
    return str(path)


def write_tool_panel(path: Path, with_suite: bool) -> str:
    """Write the tool panel: the upload, and if wanted the suite's tools and those for tables; returns its path."""
    toolbox = ElementTree.Element("toolbox")
    upload = ElementTree.SubElement(toolbox, "section", id="get_data", name="Get Data")
    ElementTree.SubElement(upload, "tool", file="data_source/upload.xml")
    if with_suite:
        suite = ElementTree.SubElement(toolbox, "section", id="dna_lm", name="DNA language models")
        for wrapper in wrappers().values():
            # Data managers do not belong in the panel.
            if wrapper.is_relative_to(ROOT / "tools"):
                ElementTree.SubElement(suite, "tool", file=str(wrapper))
        text = ElementTree.SubElement(toolbox, "section", id="text", name="Text Manipulation")
        for file in TEXT_TOOLS.values():
            ElementTree.SubElement(text, "tool", file=file)
    return write_xml(path, toolbox)


def write_data_tables(config: Path) -> str:
    """Write data tables with the rows of the tests, in copies, because the data manager adds rows to them."""
    source = ROOT / "tools" / "tool_data_table_conf.xml.test"
    tables = ElementTree.parse(source).getroot()
    for file in tables.iter("file"):
        rows = Path(file.get("path").replace("${__HERE__}", str(source.parent))).resolve()
        (config / rows.name).write_text(rows.read_text().replace("${__HERE__}", str(rows.parent)))
        file.set("path", str(config / rows.name))
    return write_xml(config / "tool_data_tables.xml", tables)


def write_dependencies(config: Path) -> list[dict[str, str]]:
    """Write .venv/tools as the package of each <requirement> of the tools; returns Galaxy's dependency resolvers.

    Galaxy itself runs in a virtual environment and activates that inside every job, after whatever environment the
    job configuration sets; only what a dependency resolver sources comes later still.
    """
    folder = config / "dependencies"
    subprocess.run([ROOT / "docs" / "admin" / "packages_from_venv.sh", TOOLS_VENV, folder], check=True)
    return [{"type": "galaxy_packages", "base_path": str(folder)}]


def job_environment(job_conf: dict) -> dict:
    """The job configuration with the URL of the stand-in hub, if one is running: jobs inherit nothing from Galaxy."""
    hub = os.environ.get("HF_ENDPOINT")
    given = [{"name": "HF_ENDPOINT", "value": hub}] if hub else []
    job_conf = copy.deepcopy(job_conf)
    for destination in job_conf["execution"]["environments"].values():
        destination["env"] = [*destination.get("env", ()), *given]
    return job_conf


def suite_settings(config: Path, job_conf: dict) -> dict[str, str]:
    """Options of galaxy.yml that name what is in this checkout."""
    folder = config / "demo_files"
    folder.mkdir()
    for path in (path for pattern in DEMO_FILES for path in (ROOT / "test-data").glob(pattern)):
        shutil.copy(path, folder)
    demo_files = {"type": "posix", "id": "dna_lm", "label": "dna_lm demo files", "doc": "For a first try of the suite"}
    demo_files |= {"root": str(folder), "writable": False}
    return {
        "tool_data_table_config_path": write_data_tables(config),
        "data_manager_config_file": str(DATA_MANAGER / "data_manager_conf.xml"),
        "file_sources_config_file": write_json(config / "file_sources.yml", [demo_files]),
        "job_config_file": write_json(config / "job_conf.yml", job_environment(job_conf)),
    }


def clean_settings(config: Path, job_conf: dict) -> dict[str, str]:
    """The same options for a Galaxy without anything of this checkout."""
    return {
        "tool_data_table_config_path": write_xml(config / "tool_data_tables.xml", ElementTree.Element("tables")),
        "data_manager_config_file": write_xml(config / "data_managers.xml", ElementTree.Element("data_managers")),
        "file_sources_config_file": write_json(config / "file_sources.yml", []),
        "job_config_file": write_json(config / "job_conf.yml", job_conf),
    }


def write_configuration(work: Path, key: str, job_conf: dict, settings: dict, with_suite: bool) -> str:
    """Write Galaxy's configuration files below `work`; returns the path of galaxy.yml.

    `job_conf` is the job configuration; `settings` are options of galaxy.yml that replace those set here.
    """
    config, data, client = work / "config", work / "data", work / "client"
    broker = data / "broker"
    # Tasks and caches of an earlier run; the database and the datasets stay.
    for stale in (config, broker):
        shutil.rmtree(stale, ignore_errors=True)
    for folder in (config, broker, data / "broker_control", work / "shed_tools"):
        folder.mkdir(parents=True, exist_ok=True)
    secret = data / "id_secret"
    if not secret.exists():
        secret.write_text(secrets.token_hex(16))
    install = [GALAXY_BIN / "galaxy-web-client-install", "--mode", "absolute", "--force-overwrite", client]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    shutil.copy(Path(__file__).with_name("welcome.html"), client)

    shed_tools = ElementTree.Element("toolbox", tool_path=str(work / "shed_tools"))
    tool_panel = write_tool_panel(config / "tool_conf.xml", with_suite)
    tool_configs = [tool_panel, write_xml(config / "shed_tool_conf.xml", shed_tools)]
    galaxy = {
        "data_dir": str(data),
        "config_dir": str(config),
        "managed_config_dir": str(config),
        "static_dir": str(client),
        "brand": "dna_lm",
        "tour_config_dir": str(ROOT / "tours"),
        "tool_config_file": ",".join(tool_configs),
        "galaxy_data_manager_data_path": str(data / "models"),
        "shed_tool_data_table_config": write_xml(config / "shed_data_tables.xml", ElementTree.Element("tables")),
        # Only administrators may install models, and planemo's tests run as a separate user.
        "admin_users": f"{ADMIN},planemo@galaxyproject.org",
        "bootstrap_admin_api_key": key,
        "id_secret": secret.read_text(),
        # By default SQLite gives up after five seconds, which uploads of three tests at once can take.
        "database_connection": f"sqlite:///{data}/universe.sqlite?isolation_level=IMMEDIATE&timeout={DATABASE_SECONDS}",
        "database_auto_migrate": True,
        "allow_path_paste": False,
        # Dozens of converters would hide the tools that matter here.
        "display_builtin_converters": False,
        # Damaged and hostile files must reach the tools: past the upload they come as other tools' outputs.
        "check_content": False,
        # Shows a job's command line to its user: <assert_command> in a wrapper's tests reads it.
        "expose_dataset_path": True,
        "watch_tools": "false",
        # Nothing is looked up in the network, nothing installed.
        "conda_auto_init": False,
        "conda_auto_install": False,
        "enable_mulled_containers": False,
        "container_resolvers_config_file": write_json(config / "container_resolvers.yml", []),
        "dependency_resolvers_config_file": write_json(config / "resolvers.yml", write_dependencies(config)),
        "job_working_directory": str(data / "jobs"),
        "cleanup_job": "onsuccess",
        # By default Galaxy looks for something to do once a second, which adds up over hundreds of jobs.
        "job_handler_monitor_sleep": MONITOR_SECONDS,
        "job_runner_monitor_sleep": MONITOR_SECONDS,
        "workflow_monitor_sleep": MONITOR_SECONDS,
        # A Celery worker has Galaxy's metadata code loaded; a separate job takes a minute to import it.
        "enable_celery_tasks": True,
        "metadata_strategy": "directory_celery",
        "amqp_internal_connection": f"sqlalchemy+sqlite:///{data}/control.sqlite",
        "celery_conf": {
            "broker_url": "atomicbroker.transport://",
            "broker_transport_options": {
                "data_folder_in": str(broker),
                "data_folder_out": str(broker),
                "control_folder": str(data / "broker_control"),
                "polling_interval": 0.1,
            },
            "task_routes": {
                "galaxy.fetch_data": "galaxy.external",
                "galaxy.set_job_metadata": "galaxy.external",
            },
        },
    }
    galaxy |= (suite_settings if with_suite else clean_settings)(config, job_conf)
    return write_json(config / "galaxy.yml", {"galaxy": galaxy | settings})


def end_with_parent() -> None:
    """Ask Linux for a SIGTERM when the process that started this one is gone, even if it was killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def spawn(command: list, folder: Path, log: Path, environment: dict | None = None) -> subprocess.Popen:
    """Start a program in `folder`, in a separate session that ends with this process; its output goes to `log`."""
    with open(log, "w") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )


def hiding(folders: tuple[Path, ...], command: list) -> list:
    """The command, to run where these folders are empty."""
    if not folders:
        return command
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        raise GalaxyError("hiding files of this checkout needs root: unshare --mount is not permitted")
    mounts = "".join(f"mount -t tmpfs none '{folder}' && " for folder in folders)
    return ["unshare", "--mount", "bash", "-c", f'{mounts}exec "$@"', "bash", *command]


def wait_for_port(process: subprocess.Popen, port: int, name: str, log: Path, seconds: float) -> None:
    """Wait until a server that was started here accepts connections."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise GalaxyError(f"{name} did not start; its log: {log}")
        time.sleep(0.5)


def start(name: str, arguments: list, work: Path, config: str, hidden: tuple[Path, ...]) -> subprocess.Popen:
    """Start a program of .venv/galaxy, its output in `work`/`name`.log, where the folders `hidden` are empty."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GALAXY_", "PYTHON", "VIRTUAL_ENV"))}
    environment |= {"PATH": f"{GALAXY_BIN}:{os.environ['PATH']}", "GALAXY_CONFIG_FILE": config}
    environment["PYTHONPATH"] = str(Path(__file__).parent)  # for atomicbroker
    command = hiding(hidden, [GALAXY_BIN / arguments[0], *arguments[1:]])
    return spawn(command, work, work / f"{name}.log", environment)


def session_members(session: int) -> Iterator[int]:
    """Process ids of a session: jobs have separate process groups, but stay in their Galaxy's session."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[3]) == session:
                yield int(stat.parent.name)


def stop(processes: list[subprocess.Popen]) -> None:
    """End the processes and everything they started, whatever state they are in."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0, deadline - time.monotonic()))
        for pid in session_members(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def wait_until_up(server: Server, processes: dict[str, subprocess.Popen], work: Path, tools: list[str]) -> None:
    """Wait until Galaxy answers and has loaded the tools; `processes` are the programs it consists of."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(bioblend.ConnectionError):
            missing = set(tools) - server.tool_ids()
            break
        for name, process in processes.items():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = (work / f"{name}.log").read_text(errors="replace").splitlines()[-40:]
                raise GalaxyError("\n".join([*tail, f"{name} did not start; its log: {work / name}.log"]))
        time.sleep(0.5)
    if missing:
        raise GalaxyError(f"Galaxy did not load {', '.join(sorted(missing))}; its log: {work}/galaxy.log")


@contextlib.contextmanager
def signal_handler(handler: Callable | signal.Handlers) -> Iterator[None]:
    """Inside, requests to end this program go to `handler`, except those that were ignored, as under nohup."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, before[number])


@contextlib.contextmanager
def running_galaxy(
    work: Path,
    port: int | None = None,
    job_conf: dict = LOCAL_JOBS,
    settings: dict | None = None,
    with_suite: bool = True,
    hidden: tuple[Path, ...] = (),
    host: str = "127.0.0.1",
) -> Iterator[Server]:
    """Start a Galaxy that listens on `host` and yield it once the suite's tools are loaded.

    `job_conf` is its job configuration, `settings` are further options of galaxy.yml. Without the suite it has no tool
    of this checkout. Galaxy and its jobs find the folders `hidden` empty, which takes root.

    While it runs, `work`/server.json names it for other programs of the same user. However it ends, no process is left.
    """
    if " " in str(work):
        raise GalaxyError(f"Galaxy runs no jobs below a folder with a space in its name: move the checkout ({ROOT})")
    work.mkdir(parents=True, exist_ok=True)
    # It will hold the administrator's key.
    work.chmod(0o700)
    with open(work / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GalaxyError(f"a Galaxy runs in {work} already") from None
        server = Server(f"http://127.0.0.1:{port or free_port()}", secrets.token_hex(16))
        config = write_configuration(work, server.key, job_conf, settings or {}, with_suite)
        processes = {}
        # An interrupted start must stop what it started, so requests to end are exceptions from here on.
        with signal_handler(signal.default_int_handler):
            try:
                address = f"{host}:{server.url.rpartition(':')[2]}"
                web = ["galaxy-web", "-c", config, "-b", address, "-n", str(work / "client")]
                processes["galaxy"] = start("galaxy", web, work, config, hidden)
                celery = ["celery", "--app", "galaxy.celery", "worker", "--pool", "threads", "--concurrency", "2"]
                queues = ["--queues", "celery,galaxy.internal,galaxy.external"]
                processes["celery"] = start("celery", [*celery, *queues], work, config, hidden)
                wait_until_up(server, processes, work, [*wrappers(), *TEXT_TOOLS] if with_suite else [])
                write_json(work / "server.json", asdict(server))
                yield server
            finally:
                with signal_handler(signal.SIG_IGN):
                    (work / "server.json").unlink(missing_ok=True)
                    stop([*processes.values()])


def main() -> None:
    """Serve the suite until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve the suite in a Galaxy on this machine until Ctrl-C.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 in a container: anyone who reaches it is let in")
    arguments = parser.parse_args()
    port = arguments.port
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((arguments.host, port))
    except OSError as error:
        sys.exit(f"error: port {port}: {error.strerror}; try another: make serve PORT=8081")
    print("starting Galaxy, which takes a minute ...", flush=True)
    try:
        with running_galaxy(SERVE_DIR, port, host=arguments.host) as server:
            print(f"Galaxy is up: {server.url}  (Ctrl-C stops it)")
            print("  user   none is needed; to keep a history, register any (Login or Register); no mail is sent")
            print(f"  admin  register as {ADMIN}")
            print("  files  Upload > Choose from repository > dna_lm demo files, or upload from test-data/:")
            print("         cftr_*.fasta, snv_*.fasta, indel_*.fasta.gz; dbsnp.vcf with dbsnp_reference.fasta")
            print("  tools  the section DNA language models; the demo models are in their model chooser;")
            print("         Text Manipulation has Sort, Filter, Select first, Cut and Join", flush=True)
            signal.pause()
    except GalaxyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("\nGalaxy is stopped")


if __name__ == "__main__":
    main()
