"""Debian's PostgreSQL in a temporary folder, on a socket in it."""

import os
import pwd
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

USER = "postgres"
WAIT = ("-w", "-t", "120")


def program(name: str) -> str:
    """The path of one of its programs, which Debian keeps out of PATH. The newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else shutil.which(name) or name


def control_postgres(directory: Path, action: str) -> None:
    """Start the server of ``postgres`` again, or stop it as a crash does. action: ``start`` or ``stop``."""
    owner = {"user": USER} if os.geteuid() == 0 else {}
    options = ["-m", "immediate"] if action == "stop" else ["-o", _options(directory), "-l", str(directory / "log")]
    command = [program("pg_ctl"), "-D", str(directory / "data"), *WAIT, *options, action]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=directory, **owner)


def signal_postgres(directory: Path, number: int) -> None:
    """Send a signal to every process of the server."""
    first = int((directory / "data" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    for process in (first, *map(int, children)):
        os.kill(process, number)


def _options(directory: Path) -> str:
    return f"-c listen_addresses= -c fsync=off -k {directory}"


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """The address of a server that runs while inside. directory: empty, with a short path."""
    owner = {"user": USER} if os.geteuid() == 0 else {}  # the server does not run as root
    directory.mkdir(parents=True, exist_ok=True)
    if owner:
        account = pwd.getpwnam(USER)
        os.chown(directory, account.pw_uid, account.pw_gid)
    data = directory / "data"
    quiet = {"stdout": subprocess.DEVNULL, "cwd": directory, **owner}
    subprocess.run([program("initdb"), "-D", data, "-A", "trust", "-N", "-U", "nissa"], check=True, **quiet)
    control = [program("pg_ctl"), "-D", str(data), *WAIT, "-l", str(directory / "log")]
    subprocess.run([*control, "-o", _options(directory), "start"], check=True, **quiet)
    try:
        yield f"postgresql://nissa@/postgres?host={directory}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, **quiet)


def new_database(address: str) -> str:
    """An address with a new, empty schema on the server at ``address``: to a client, a database of its own."""
    name = f"nissa_{uuid.uuid4().hex}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{address}&options=-csearch_path%3D{name}"
