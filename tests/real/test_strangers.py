"""Who does not know the run's key gets nothing, and nothing of theirs is looked at; who does is still held to the rules."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headrace
from headrace.context import Context
from headrace.protocols.channel import GREETING, MAGIC, NONCE_BYTES, PROOF, Handshake, framed
from headrace.protocols.messages import CONTROL_BYTES_MAX, Hello, Piece, Report, encode
from headrace.runtime.channel import sockets
from tests.real.help import children, files_under, lines_of, run_folders, until


class Bomb:
    """Makes a folder wherever it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for temporary data whose name is short."""
    with tempfile.TemporaryDirectory(prefix="hr-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def ctx(folder: Path) -> Iterator[Context]:
    """One run, which everybody comes to: after all of them it is as sound as before."""
    with headrace.connect(f"local://?workers=2&hosts=2&dir={folder}", progress=False) as ctx:
        assert sound(ctx)
        until(lambda: [worker.state for worker in ctx.workers()] == ["idle"] * 2, "both workers listen")
        assert len(doors(folder)) == 3
        yield ctx
        assert not lines_of(ctx.run, "worker lost")
        refused = ctx._session.summary()["peers refused"]
    assert [line["peers refused"] for line in lines_of(ctx.run, "run done")] == [refused]


def sound(ctx: Context) -> bool:
    return ctx.range(100, num_slices=4).map(lambda x: (x % 3, 1)).reduce_by_key(lambda a, b: a + b).count() == 3


def doors(lair: Path) -> list[Path]:
    """Return all sockets that somebody could connect to."""
    (run,) = run_folders(lair)
    return [Path(entry.path) for entry in os.scandir(run) if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)]


def key_of(ctx: Context) -> bytes:
    key = ctx._session._network._key  # type: ignore[attr-defined]
    assert isinstance(key, bytes)
    return key


class Stranger:
    """Speaks to a socket byte by byte."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))

    def say(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def hear(self, number: int) -> bytes:
        data = b""
        while len(data) < number:
            with contextlib.suppress(ConnectionResetError):
                if some := self.socket.recv(number - len(data)):
                    data += some
                    continue
            return data
        return data

    def is_dropped(self) -> bool:
        """Wait for the end; whether nothing more was said before."""
        found = self.hear(1 << 20)
        self.socket.close()
        return found == b""

    def prove(self, key: bytes) -> bool:
        """Shake hands as a peer would; whether the other side has proved the key as well."""
        handshake = Handshake(key, os.urandom(NONCE_BYTES), opener=True)
        self.say(handshake.greeting())
        self.say(handshake.receive(self.hear(GREETING)))
        handshake.receive(self.hear(PROOF))
        return handshake.done


NONCE = bytes(range(NONCE_BYTES))
WAYS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "a pickle": lambda heard, bomb: bomb,
    "a frame with a pickle": lambda heard, bomb: framed(bomb),
    "another protocol": lambda heard, bomb: b"GET / HTTP/1.1\r\n\r\n" + bomb,
    "another version": lambda heard, bomb: b"headrace/0 " + NONCE + bomb,
    "a proof with another key": lambda heard, bomb: MAGIC + NONCE + b"?" * PROOF + framed(bomb),
    "our own challenge back": lambda heard, bomb: heard[:GREETING] + b"?" * PROOF + framed(bomb),
    "a message without a proof": lambda heard, bomb: MAGIC + NONCE + framed(encode(Hello("w1", 1, ""))) * 9 + bomb,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_stranger_is_dropped_and_nothing_is_unpickled(way: str, ctx: Context, folder: Path, lair: Path) -> None:
    mark, before = lair / "unpickled", ctx._session.summary()["peers refused"]
    bomb = pickle.dumps(Bomb(mark))
    for door in doors(folder):
        stranger = Stranger(door)
        heard = stranger.hear(GREETING)
        assert heard.startswith(MAGIC)
        assert len(heard) == GREETING, "a challenge that is new each time, and nothing else"
        stranger.say(WAYS[way](heard, bomb))
        said = stranger.hear(PROOF)  # to a good greeting: a code over both challenges
        assert len(said) in (0, PROOF)
        assert stranger.is_dropped()
    assert not mark.exists()
    assert sound(ctx)
    assert ctx._session.summary()["peers refused"] > before


def test_what_one_side_said_elsewhere_proves_nothing(ctx: Context, folder: Path) -> None:
    """A go-between who repeats at one door what was answered at another."""
    for door in doors(folder):
        first, second = Stranger(door), Stranger(door)
        theirs = first.hear(GREETING)
        second.hear(GREETING)
        second.say(theirs)  # have the acceptor answer its own challenge, at another channel
        answer = second.hear(PROOF)
        assert len(answer) == PROOF
        first.say(MAGIC + NONCE + answer)
        assert first.is_dropped()
        second.say(answer)
        assert second.is_dropped()
    assert sound(ctx)


def test_a_stranger_who_says_nothing_is_not_waited_for(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "HANDSHAKE_NS", 200_000_000)
    with headrace.connect(f"local://?workers=2&hosts=2&dir={lair}", progress=False) as ctx:
        door = next(path for path in doors(lair) if path.name == "home.sock")
        silent, halting = Stranger(door), Stranger(door)
        assert sound(ctx)
        halting.hear(GREETING)
        halting.say(MAGIC + NONCE[:5])
        assert len(silent.hear(GREETING)) == GREETING
        assert silent.is_dropped()
        assert halting.is_dropped()


def test_a_crowd_of_strangers_disturbs_nobody_who_is_inside(ctx: Context, folder: Path) -> None:
    """There is a limit to how many may be at the door, and whoever is inside works on."""
    for door in doors(folder):
        crowd = []
        for _ in range(2 * sockets.STRANGERS_MAX):
            crowd.append(Stranger(door))
            crowd[-1].socket.settimeout(60)
        greeted = [len(stranger.hear(GREETING)) for stranger in crowd]
        assert greeted.count(GREETING) <= sockets.STRANGERS_MAX
        assert set(greeted) == {0, GREETING}
        assert sound(ctx)
        for stranger in crowd:
            stranger.socket.close()
    assert sound(ctx)


SPOKEN: dict[str, bytes] = {
    "a frame over the limit": (CONTROL_BYTES_MAX + 1).to_bytes(4, "little"),
    "a frame of four gigabytes": b"\xff" * 4 + b"x" * 1000,
    "no message": framed(b"not a message"),
    "a message of no kind": framed(b"\x81\xa4type\xa4Boom"),
    "a field of another type": framed(encode(Hello("w1", 1, "")).replace(b"w1", b"\xff1")),
    "an empty frame": framed(b""),
    "nested a million deep": framed(b"\x91" * 1_000_000),
}


@pytest.mark.parametrize("what", SPOKEN)
def test_who_knows_the_key_and_breaks_the_rules_is_dropped(what: str, ctx: Context, folder: Path) -> None:
    for door in doors(folder):
        peer = Stranger(door)
        assert peer.prove(key_of(ctx))
        peer.say(SPOKEN[what])
        assert peer.is_dropped()
    assert sound(ctx)


def test_who_knows_the_key_and_is_nobodys_worker_is_not_listened_to(ctx: Context, folder: Path, lair: Path) -> None:
    """Reports of attempts that were never given out, blocks that nobody asked for."""
    bomb = pickle.dumps(Bomb(lair / "unpickled"))
    report = Report(1, 1, 99_999, "done", *(0,) * 5, True, bomb, bomb, (), 0, (), "", bomb, bomb, (0,) * 4, bomb)
    for door in doors(folder):
        peer = Stranger(door)
        assert peer.prove(key_of(ctx))
        for message in (report, Piece(7, 0, 9, b"x" * 9), Hello("w999", 1, "unix:/nowhere")):
            peer.say(framed(encode(message)))
        assert sound(ctx)
        peer.socket.close()
    assert not (lair / "unpickled").exists()


def test_nothing_listens_where_others_could_reach_it(ctx: Context) -> None:
    """No process of a run has a socket of any network: inherited pairs and Unix sockets in a folder of the owner's."""
    inodes = set()
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        with contextlib.suppress(FileNotFoundError):
            inodes |= {line.split()[9] for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]}
    workers = {worker.pid for worker in ctx.workers()}
    assert workers <= children()
    for pid in {os.getpid(), *children()}:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                name = os.readlink(link)
                assert not (name.startswith("socket:") and name[8:-1] in inodes), f"{pid} has {name}"


def test_what_user_code_starts_inherits_no_channel(local: Context) -> None:
    """`os.system` passes on whatever is not closed on exec."""

    def look(_: int) -> list[str]:
        import subprocess

        listing = "for fd in /proc/self/fd/*; do readlink $fd; done"
        return subprocess.run(
            ["/bin/sh", "-c", listing], capture_output=True, text=True, close_fds=False
        ).stdout.split()

    def count(_: int) -> int:
        return os.waitstatus_to_exitcode(
            os.system("exit $(ls -l /proc/self/fd | grep -c -e socket: -e blackbox -e /hr-)")
        )

    assert local.range(1).map(count).first() == 0
    assert not [name for name in local.range(1).map(look).first() if name.startswith(("socket:", "/tmp"))]


def test_the_key_is_new_for_every_run_and_lies_nowhere(ctx: Context, folder: Path) -> None:
    key = key_of(ctx)
    assert len(key) == 32
    with headrace.connect("local://?workers=1", progress=False) as other:
        assert key_of(other) != key
    for path in files_under(folder):
        if path not in map(str, doors(folder)):
            content = Path(path).read_bytes()
            assert key not in content
            assert key.hex().encode() not in content
