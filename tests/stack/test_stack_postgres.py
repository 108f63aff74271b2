"""PostgreSQL as the stack runs it: as whom, over which way to its files, and that it is ours that answers."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import psycopg
import pytest

from souk.stack.account import account_of_servers, add_search_entry, may_pass, open_way, read_entries
from souk.stack.home import Home
from souk.stack.postgres import Cluster, answers, running_postgres
from souk.stack.service import Account

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@pytest.fixture
def closed_folder(tmp_path: Path) -> Path:
    """`top/below/`, where `top` is closed to everybody but its owner."""
    below = tmp_path / "top" / "below"
    below.mkdir(parents=True)
    (tmp_path / "top").chmod(0o700)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    return below


@needs_root
def test_one_user_alone_may_pass_a_folder_that_stays_closed_to_others(closed_folder: Path) -> None:
    account, nobody = account_of_servers(), pwd.getpwnam("nobody")
    assert account is not None
    other = Account("nobody", nobody.pw_uid, nobody.pw_gid)
    assert not may_pass(account, closed_folder)
    said: list[str] = []
    open_way(account, closed_folder / "data", say=said.append)
    assert said == [f"user {account.name} may now pass through {closed_folder.parent} (access control entry)"]
    assert may_pass(account, closed_folder)
    assert not may_pass(other, closed_folder)
    assert (closed_folder.parent.stat().st_mode & 0o007) == 0


@needs_root
def test_opening_a_way_twice_changes_nothing_the_second_time(closed_folder: Path) -> None:
    account = account_of_servers()
    assert account is not None
    add_search_entry(closed_folder.parent, account.uid)
    entries = read_entries(closed_folder.parent)
    add_search_entry(closed_folder.parent, account.uid)
    assert sorted(read_entries(closed_folder.parent)) == sorted(entries)
    said: list[str] = []
    open_way(account, closed_folder / "data", say=said.append)
    assert said == []


def test_postgres_runs_alone_below_a_closed_folder_and_is_shared_while_it_runs(closed_folder: Path) -> None:
    home = closed_folder / "home"
    with running_postgres(home) as url, running_postgres(home) as same:
        assert same == url
        with psycopg.connect(url) as at:
            assert at.execute("SELECT current_user::text, current_database()::text").fetchone() == ("souk", "souk")
    with running_postgres(home, durable=False) as url, psycopg.connect(url) as at:
        assert at.execute("SELECT current_setting('fsync')").fetchone() == ("off",)


def test_a_lock_that_names_a_foreign_process_does_not_keep_postgres_from_starting(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_postgres(home):
        pass
    lock = home / "postgres" / "data" / "postmaster.pid"
    assert not lock.exists()
    lock.write_text(f"{os.getpid()}\n{lock.parent}\n0\n1\n\n127.0.0.1\n\n")
    with running_postgres(home) as url, psycopg.connect(url) as at:
        assert at.execute("SELECT 1").fetchone() == (1,)


def test_another_server_at_our_port_is_not_taken_for_ours(tmp_path: Path) -> None:
    with running_postgres(tmp_path / "one") as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        ours = Home(tmp_path / "one")
        assert answers(Cluster(home=ours, port=port, passwords=ours.secrets()))
        with running_postgres(tmp_path / "two"):
            other = Home(tmp_path / "two")
            assert not answers(Cluster(home=other, port=port, passwords=ours.secrets()))
            assert not answers(Cluster(home=other, port=port, passwords=other.secrets()))
