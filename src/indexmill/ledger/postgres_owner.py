"""The system user that runs the embedded PostgreSQL, and that user's way to the files it needs.

PostgreSQL refuses to run as root; started by anybody else it simply runs as that user."""

from __future__ import annotations

import logging
import os
import pwd
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from indexmill.errors import ServiceError

__all__ = ["PostgresOwner", "RunAs", "open_path", "owner_of"]

SYSTEM_USER = "indexmill-postgres"
_COMMAND_TIMEOUT = 30

_log = logging.getLogger(__name__)


class RunAs(TypedDict, total=False):
    """Arguments of `subprocess` that give up root's rights; empty where there are none to give up."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class PostgresOwner:
    """Who the server's files belong to and who it runs as."""

    uid: int
    gid: int

    @property
    def run_as(self) -> RunAs:
        if os.geteuid() == self.uid:
            return RunAs()
        return RunAs(user=self.uid, group=self.gid, extra_groups=[])

    def give(self, path: Path, mode: int) -> None:
        # Root must not be led by a link that the server's user made in its own folder.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchmod(descriptor, mode)
            if os.geteuid() != self.uid:
                os.fchown(descriptor, self.uid, self.gid)
        finally:
            os.close(descriptor)


def owner_of(server_folder: Path) -> PostgresOwner:
    """The user for this server: whoever its folder belongs to already, else this user, for root a system user.

    Raises:
        ServiceError: the folder belongs to somebody else, or the system user cannot be made.
    """
    mine = PostgresOwner(os.geteuid(), os.getegid())
    found = server_folder.stat() if server_folder.exists() else None
    if mine.uid != 0:
        if found is not None and found.st_uid != mine.uid:
            raise ServiceError(
                f"The data folder's database belongs to user {_name(found.st_uid)!r}, this is {_name(mine.uid)!r}: "
                "start Indexmill as root or as that user, or set data_folder to a folder of your own"
            )
        return mine
    if found is not None and found.st_uid != 0:
        return PostgresOwner(found.st_uid, found.st_gid)
    entry = _system_user()
    return PostgresOwner(entry.pw_uid, entry.pw_gid)


def open_path(path: Path, owner: PostgresOwner) -> None:
    """Lets the owner (and nobody else) pass through the folders above `path`, listing and reading none of them.

    Root's files are often below folders that are closed to all others, as `/root` is. An access control entry for the
    one user opens them less than a mode for everybody would.

    Raises:
        ServiceError: the file system keeps no such entries, or they do not help.
    """
    if not owner.run_as:
        return
    for folder in reversed(path.resolve().parents):
        if _can_enter(folder, owner):
            continue
        try:
            _let_pass(folder, owner.uid)
        except OSError as error:
            raise ServiceError(_closed(folder, owner)) from error
        if not _can_enter(folder, owner):
            raise ServiceError(_closed(folder, owner))
        _log.info("user %s may now pass through %s", _name(owner.uid), folder)


def _closed(folder: Path, owner: PostgresOwner) -> str:
    return (
        f"PostgreSQL runs as the system user {_name(owner.uid)!r}, who cannot pass through {str(folder)!r}: "
        f"run 'chmod o+x {folder}', or keep the data folder and the installation elsewhere"
    )


def _can_enter(folder: Path, owner: PostgresOwner) -> bool:
    command = ["/usr/bin/test", "-x", str(folder)]
    done = subprocess.run(command, check=False, cwd="/", timeout=_COMMAND_TIMEOUT, **owner.run_as)
    return done.returncode == 0


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT)
    except (OSError, subprocess.SubprocessError) as error:
        problem = getattr(error, "stderr", None) or str(error)
        raise ServiceError(
            f"PostgreSQL refuses to run as root, and the system user {SYSTEM_USER!r} could not be made "
            f"({problem.strip()}): make it by hand, or start Indexmill as an ordinary user"
        ) from error
    return pwd.getpwnam(SYSTEM_USER)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# The kernel's form of an access control list: a version, then (tag, permissions, id), ordered by tag and id.
_ACL = "system.posix_acl_access"
_ACL_VERSION = struct.pack("<I", 2)
_ACL_ENTRY = struct.Struct("<HHI")
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_PASS = 1


def _let_pass(folder: Path, uid: int) -> None:
    entries = _read_acl(folder)
    entries[_USER, uid] = entries.get((_USER, uid), 0) | _PASS
    # Without a mask the group's own permissions were the limit of the group class.
    entries[_MASK, _NO_ID] = entries.get((_MASK, _NO_ID), entries[_GROUP_OBJ, _NO_ID]) | _PASS
    packed = b"".join(_ACL_ENTRY.pack(tag, granted, each) for (tag, each), granted in sorted(entries.items()))
    if sys.platform != "linux":
        raise OSError("access control entries are set on Linux only")
    os.setxattr(folder, _ACL, _ACL_VERSION + packed)


def _read_acl(folder: Path) -> dict[tuple[int, int], int]:
    if sys.platform != "linux":
        raise OSError("access control entries are read on Linux only")
    try:
        raw = os.getxattr(folder, _ACL)
    except OSError:
        mode = folder.stat().st_mode
        return {(_USER_OBJ, _NO_ID): mode >> 6 & 7, (_GROUP_OBJ, _NO_ID): mode >> 3 & 7, (_OTHER, _NO_ID): mode & 7}
    found = _ACL_ENTRY.iter_unpack(raw[len(_ACL_VERSION) :])
    return {(tag, each): granted for tag, granted, each in found}
