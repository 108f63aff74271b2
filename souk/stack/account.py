"""An operating system's user of its own for PostgreSQL, which refuses to run as root, and its way to its files.

That user must pass through the folders above its files. Where one of them is closed (/root is), it is given the right
to pass through, and nothing more: by an access control entry for this user alone, or, on a file system that has
none, by the search bit for others, which lets names be used but not listed.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from souk.stack.service import Account, StackError, run_as

NAME = "souk-postgres"
_ACL = "system.posix_acl_access"
_VERSION = struct.pack("<I", 2)
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
_SEARCH = 1


def account_of_servers() -> Account | None:
    """The user that PostgreSQL runs as: None for whoever calls, unless that is root; then one made for it.

    Raises StackError when root may not make a user here.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = make_user()
    return Account(NAME, entry.pw_uid, entry.pw_gid)


def make_user() -> pwd.struct_passwd:
    """Add the system user; needs root."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", NAME], check=True, capture_output=True, text=True)
        return pwd.getpwnam(NAME)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip()
        raise StackError(
            f"PostgreSQL refuses to run as root, and the user `{NAME}` could not be made ({said}). "
            f"Make a system user of that name, or run Souk as a normal user, or set SOUK_DATABASE_URL."
        ) from error


def open_way(account: Account, target: Path, *, say: Callable[[str], None]) -> None:
    """Let `account` reach `target` (an existing file or folder), changing as little as possible above it.

    Raises StackError naming the folder that stays closed.
    """
    target = target.resolve()
    folders = reversed(target.parents)
    for folder in () if may_pass(account, target.parent) else folders:
        if may_pass(account, folder):
            continue
        try:
            add_search_entry(folder, account.uid)
            say(f"user {account.name} may now pass through {folder} (access control entry)")
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.ENOSYS, errno.EINVAL):
                raise closed(folder, account, error) from error
            open_search_bit(folder, account)
            say(f"everybody may now pass through {folder} (it has no access control entries; it cannot be listed)")
    if not may_pass(account, target.parent):
        raise closed(target.parent, account, None)


def may_pass(account: Account, folder: Path) -> bool:
    """Ask the kernel, as that user, whether it may enter `folder`."""
    command = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(folder)]
    return subprocess.run(command, cwd="/", check=False, **run_as(account)).returncode == 0


def open_search_bit(folder: Path, account: Account) -> None:
    """The way for file systems without access control entries."""
    try:
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
    except OSError as error:
        raise closed(folder, account, error) from error


def closed(folder: Path, account: Account, error: OSError | None) -> StackError:
    """The refusal that names the folder and the ways out."""
    why = f" ({error.strerror})" if error else ""
    return StackError(
        f"The user {account.name}, which PostgreSQL runs as, cannot pass through {folder}{why}. "
        f"Allow it with `chmod o+x {folder}`, or set SOUK_HOME to a folder that it can reach such as /var/lib/souk, "
        "or run Souk as a normal user."
    )


def add_search_entry(folder: Path, uid: int) -> None:
    """Add `user:<uid>:--x` to the access control list of a folder, keeping what is there."""
    entries = read_entries(folder)
    entries = [entry for entry in entries if entry[:1] != (_USER,) or entry[2] != uid]
    entries.append((_USER, _SEARCH, uid))
    if not any(tag == _MASK for tag, _, _ in entries):
        group = next(allowed for tag, allowed, _ in entries if tag == _GROUP_OBJ)
        entries.append((_MASK, group, _NOBODY))
    entries = [(tag, allowed | _SEARCH if tag == _MASK else allowed, who) for tag, allowed, who in entries]
    packed = b"".join(struct.pack("<HHI", *entry) for entry in sorted(entries, key=lambda entry: (entry[0], entry[2])))
    os.setxattr(folder, _ACL, _VERSION + packed)


def read_entries(folder: Path) -> list[tuple[int, int, int]]:
    """The entries (tag, permissions, id) of a folder's list; those that its mode stands for where it has none."""
    try:
        raw = os.getxattr(folder, _ACL)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        mode = folder.stat().st_mode
        return [
            (_USER_OBJ, mode >> 6 & 7, _NOBODY),
            (_GROUP_OBJ, mode >> 3 & 7, _NOBODY),
            (_OTHER, mode & 7, _NOBODY),
        ]
    return [(tag, allowed, who) for tag, allowed, who in struct.iter_unpack("<HHI", raw[4:])]


def give(account: Account | None, folder: Path) -> None:
    """Make `folder` (and what it holds) the private property of `account`; of the caller when that is None."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is None:
        return
    try:
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid != account.uid:
                shutil.chown(path, account.uid, account.gid)
    except OSError as error:
        raise StackError(
            f"Cannot give {folder} to the user {account.name} ({error.strerror}). Is it on a network or shared file "
            "system? Set SOUK_HOME to a folder on a local disk."
        ) from error
