"""Every number somebody may want to change, in one frozen struct for each subsystem, and the addresses that set them.

Nothing is read at import; a value that makes no sense raises where it is given.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct, field
from msgspec.structs import fields, replace

from headrace.errors import UsageError

MS = 1_000_000  # nanoseconds
SECOND = 1000 * MS
INLINE_BYTES_MAX = 2 << 20  # of a result within a message, which holds more than that and no endless amount


class ScheduleConfig(Struct, frozen=True, kw_only=True):
    """How often a task may fail, and when a copy or a complaint is due."""

    max_failures: int = 4  # attempts of one task that raised, exited or died of their own signal
    max_losses: int = 20  # attempts of one task lost with their process, host or input, since it last got further
    task_timeout_ns: int = 0  # an attempt that runs longer is ended, and has failed; 0: it may take as long as it will
    cancel_grace_ns: int = SECOND  # a cancelled attempt that has not ended by then loses its process
    stall_ns: int = 30 * SECOND  # without progress for this long, an event says what is waited for
    result_bytes_max: int = 1 << 30  # what one job may bring back to the program


class SpeculateConfig(Struct, frozen=True, kw_only=True):
    """When a running attempt deserves a backup copy (the LATE rule)."""

    enabled: bool = True
    after_ns: int = 500 * MS  # younger attempts are never copied
    slow_percentile: float = 0.25  # an attempt is slow if its rate of progress is below this share of its stage
    slowdown: float = 1.5  # and if its estimated length exceeds this multiple of the median finished one
    cap: float = 0.1  # copies running at once, as a share of all slots; at least one


class CheckpointConfig(Struct, frozen=True, kw_only=True):
    """When a dataset is checkpointed though nobody asked for it."""

    auto: bool = False
    failure_ns: int = 3600 * SECOND  # between two failures, on average: the less, the more is written
    length_max: int = 200  # operators in a row, after which a lineage is cut whatever that saves


class MembershipConfig(Struct, frozen=True, kw_only=True):
    """When a silent worker is suspected, when it is given up, and when starting new ones is."""

    heartbeat_ns: int = 500 * MS
    suspect_ns: int = 2 * SECOND  # silent this long: suspected; copies of its task may start
    hung_ns: int = 30 * SECOND  # silent this long and no processor time used: killed and replaced
    ready_ns: int = 30 * SECOND  # a process that is not ready by then is killed
    startups_max: int = 5  # start-ups in a row that never got ready, by their own doing
    nobody_ns: int = 20 * SECOND  # so long nobody may be ready, while start-ups fail of what may pass


class MemoryConfig(Struct, frozen=True, kw_only=True):
    """What one worker may hold.  `task_bytes` bounds tables, sorts and groups, `cache_bytes` what `cache()` keeps."""

    worker_bytes: int = 1 << 30

    @property
    def task_bytes(self) -> int:
        """What the growing structures of one task may hold together, in bytes."""
        return self.worker_bytes // 2

    @property
    def cache_bytes(self) -> int:
        """What cached partitions may take, pickled, in bytes."""
        return self.worker_bytes // 4

    @property
    def fetch_bytes(self) -> int:
        """What one reducer may have asked for or received and not yet consumed, in bytes."""
        return max(1 << 20, min(48 << 20, self.worker_bytes // 16))


class DataConfig(Struct, frozen=True, kw_only=True):
    """Sizes of the pieces in which data moves."""

    split_bytes: int = 4 << 20  # of input in one task
    inline_bytes: int = 64 << 10  # a result or slice up to this size travels inside a control frame
    piece_bytes: int = 1 << 20  # of a block in one data frame
    unpack_bytes: int = 16 << 30  # what one archive that is shipped to the workers may come to
    capsule_bytes: int = 64 << 20  # what a worker may save of the input of attempts that failed; 0: nothing


class JoinConfig(Struct, frozen=True, kw_only=True):
    """When a join with `skew="auto"` departs from the usual plan."""

    broadcast_bytes: int = 10 << 20  # a side that takes no more than this, pickled, is sent to every worker
    split_records: int = 100_000  # a key with fewer records and pairings than this is not split


class VerifyConfig(Struct, frozen=True, kw_only=True):
    """How many tasks are run again, to see whether they do the same."""

    fraction: float = 0.0  # of the tasks; 0: none, and then nothing of it costs anything


class WorkConfig(Struct, frozen=True, kw_only=True):
    """How much virtual time the work of bodies takes in a simulated world.

    Attributes:
        record_ns: of a record: always, in the middle, on average, or at least.
        took: of a recorded run, once it is read: for each stage, what its tasks took.

    """

    kind: str = "steady"
    record_ns: int = 0
    chunk_ns: int = 0
    most_ns: int = 0
    sigma: float = 0.0
    each_chunk: bool = False  # drawn anew for each chunk, not for each attempt
    scale_ppm: int = 1_000_000  # of what was measured, in millionths
    run: str = ""
    took: tuple[tuple[int, tuple[int, ...]], ...] = ()


class Config(Struct, frozen=True, kw_only=True):
    """A whole run's settings."""

    scheme: str = "local"
    workers: int = 0  # 0: one for every usable core
    hosts: int = 1
    directory: str | None = None  # where temporary data goes; None: the system's temporary directory
    seed: int = 0  # of a simulated world
    faults: tuple[str, ...] = ()  # kinds of fault in a simulated world, drawn from the seed
    plan: str | None = None  # a file that says what goes wrong in a simulated world, instead
    bodies: str = "auto"  # how the bodies of tasks run in a simulated world
    work: WorkConfig = field(default_factory=WorkConfig)
    check: bool = True  # a simulated run looks at whether the engine keeps its promises
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    speculate: SpeculateConfig = field(default_factory=SpeculateConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    membership: MembershipConfig = field(default_factory=MembershipConfig)
    memory: MemoryConfig | None = None  # None: an equal share of what the machine has
    data: DataConfig = field(default_factory=DataConfig)
    join: JoinConfig = field(default_factory=JoinConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)

    @property
    def shuffle_partitions(self) -> int:
        """Partitions after a shuffle, when nobody says how many."""
        return max(4 * self.workers, 8)


UNITS = {"ns": 1, "us": 1000, "ms": MS, "s": SECOND}  # of durations
WORKS = "steady, constant:10us[,1ms], uniform:1us,50us, lognormal:10us,1.0, exponential:10us, measured[:2.0] or recorded:RUN"
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Read a number of bytes; k, m, g and t are powers of 1024.

    Raises:
        UsageError: it is not a size.

    >>> parse_size("64MB")
    67108864
    >>> parse_size("1.5g")
    1610612736

    """
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is not a size. Write it like 64MB or 2g.")
    power = " kmgt".index(found[2].lower() or " ")
    return int(float(found[1]) * 1024**power)


def parse_duration(text: str) -> int:
    """Read a duration into nanoseconds: a number of seconds, or one with s, ms, us or ns.

    >>> parse_duration("250ms"), parse_duration("2"), parse_duration("10us")
    (250000000, 2000000000, 10000)
    """
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    number, unit_ns = text.removesuffix(unit), UNITS.get(unit, SECOND)
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value * unit_ns < math.inf:
        raise UsageError(f"{text!r} is not a duration. Write it like 250ms or 2s.")
    return int(value * unit_ns)


def _count(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise UsageError(f"{text!r} is not a whole number.")
    return int(text)


def _positive(text: str) -> int:
    number = _count(text)
    if number < 1:
        raise UsageError(f"{text!r} is too few; at least 1 is needed.")
    return number


def _some_bytes(text: str) -> int:
    size = parse_size(text)
    if size < 1:
        raise UsageError(f"{text!r} is too little; at least one byte is needed.")
    return size


def _few_bytes(text: str) -> int:
    size = parse_size(text)
    if size > INLINE_BYTES_MAX:
        raise UsageError(f"{text!r} is too much to travel in a message; {INLINE_BYTES_MAX >> 20}MB is the most.")
    return size


def _some_time(text: str) -> int:
    duration = parse_duration(text)
    if duration < MS:
        raise UsageError(f"{text!r} is too short; at least 1ms is needed.")
    return duration


def parse_timeout(text: str) -> int:
    """Read a duration after which something is ended into nanoseconds; "none" or "inf" gives 0: never.

    >>> parse_timeout("1.5"), parse_timeout("none")
    (1500000000, 0)
    """
    return 0 if text.lower() in {"none", "inf"} else _some_time(text)


def parse_work(text: str) -> WorkConfig:
    """Read how much time the work of bodies takes in a simulated world.

    >>> parse_work("constant:10us,1ms").chunk_ns
    1000000
    >>> parse_work("lognormal:10us,0.5,chunk").each_chunk
    True

    """
    kind, _, rest = text.partition(":")
    if kind == "recorded":
        if not rest:
            raise UsageError(f"{text!r} names no run. Write recorded: and the name of a run, or the path of a profile.")
        return WorkConfig(kind=kind, run=rest)
    given = rest.split(",") if rest else []
    drawn = kind in {"uniform", "lognormal", "exponential"}
    each_chunk = drawn and given[-1:] == ["chunk"]
    if drawn and given[-1:] in (["chunk"], ["task"]):
        given.pop()
    match kind, given:
        case "steady", []:
            return WorkConfig()
        case "constant", [record]:
            return WorkConfig(kind=kind, record_ns=parse_duration(record))
        case "constant", [record, chunk]:
            return WorkConfig(kind=kind, record_ns=parse_duration(record), chunk_ns=parse_duration(chunk))
        case "exponential", [mean]:
            return WorkConfig(kind=kind, record_ns=parse_duration(mean), each_chunk=each_chunk)
        case "uniform", [least, most] if parse_duration(least) <= parse_duration(most):
            ends = parse_duration(least), parse_duration(most)
            return WorkConfig(kind=kind, record_ns=ends[0], most_ns=ends[1], each_chunk=each_chunk)
        case "lognormal", [middle, sigma]:
            spread = _number(sigma, 10)
            return WorkConfig(kind=kind, record_ns=parse_duration(middle), sigma=spread, each_chunk=each_chunk)
        case "measured", []:
            return WorkConfig(kind=kind)
        case "measured", [scale]:
            return WorkConfig(kind=kind, scale_ppm=round(_number(scale, 1e6) * 1_000_000))
    raise UsageError(
        f"{text!r} is no model of work. Write one like {WORKS}; what is drawn is drawn for each task, or with "
        "a further ,chunk for each chunk."
    )


def _number(text: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise UsageError(f"{text!r} is no number from 0 to {most:g}.")
    return number


def _switch(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    raise UsageError(f"{text!r} is neither yes nor no.")


def _one_of(text: str, names: tuple[str, ...]) -> str:
    if text not in names:
        raise UsageError(f"{text!r} is none of {', '.join(names)}.")
    return text


def _share(text: str) -> float:
    if text in {"off", "all"}:
        return float(text == "all")
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise UsageError(f"{text!r} is no share. Write a number from 0 to 1, off or all.")
    return share


def _auto(text: str) -> bool:
    if text not in {"auto", "off"}:
        raise UsageError(f"{text!r} is neither auto nor off.")
    return text == "auto"


# What may stand in an address: option -> (which part of the configuration, its field, how it is read).
OPTIONS: dict[str, tuple[str, str, Any]] = {
    "workers": ("", "workers", _positive),
    "hosts": ("", "hosts", _positive),
    "dir": ("", "directory", str),
    "memory": ("memory", "worker_bytes", _some_bytes),
    "max_failures": ("schedule", "max_failures", _positive),
    "max_losses": ("schedule", "max_losses", _positive),
    "task_timeout": ("schedule", "task_timeout_ns", parse_timeout),
    "cancel_grace": ("schedule", "cancel_grace_ns", parse_duration),
    "stall": ("schedule", "stall_ns", parse_duration),
    "max_result": ("schedule", "result_bytes_max", parse_size),
    "speculate": ("speculate", "enabled", _switch),
    "backup_after": ("speculate", "after_ns", parse_duration),
    "checkpoint": ("checkpoint", "auto", _auto),
    "mtbf": ("checkpoint", "failure_ns", _some_time),
    "lineage": ("checkpoint", "length_max", _positive),
    "heartbeat": ("membership", "heartbeat_ns", _some_time),
    "suspect": ("membership", "suspect_ns", parse_duration),
    "hung": ("membership", "hung_ns", parse_duration),
    "split": ("data", "split_bytes", _some_bytes),
    "inline": ("data", "inline_bytes", _few_bytes),
    "capsule": ("data", "capsule_bytes", parse_size),
    "unpack": ("data", "unpack_bytes", _some_bytes),
    "broadcast_bytes": ("join", "broadcast_bytes", parse_size),
    "split_records": ("join", "split_records", _positive),
    "verify_determinism": ("verify", "fraction", _share),
    "seed": ("", "seed", _count),
    "faults": ("", "faults", lambda text: tuple(part for part in text.split(",") if part)),
    "plan": ("", "plan", str),
    "check": ("", "check", _switch),
    "work": ("", "work", parse_work),
    "bodies": ("", "bodies", lambda text: _one_of(text, ("auto", "greenlets", "threads"))),
}
SIMULATED = frozenset({"seed", "faults", "plan", "check", "bodies", "work"})
SCHEMES: dict[str, frozenset[str]] = {
    "local": frozenset(OPTIONS) - SIMULATED,
    "inline": frozenset(OPTIONS) - SIMULATED - {"workers", "hosts", "heartbeat", "suspect", "hung"},
    "sim": frozenset(OPTIONS),
}
LATER = {"redis": "Redis", "rediss": "Redis", "ray": "Ray"}


def parse_url(url: str) -> Config:
    """Turn an address into settings.

    Raises:
        UsageError: the scheme or an option is unknown, or a value makes no sense.

    >>> parse_url("local://?workers=4&memory=64MB").workers
    4
    >>> parse_url("local://?wrokers=4")
    Traceback (most recent call last):
    ...
    headrace.errors.UsageError: local:// has no option 'wrokers'. Did you mean 'workers'?

    """
    try:
        parts = urlsplit(url)
    except ValueError:  # what it takes for brackets of a host
        parts = urlsplit("")
    if parts.scheme in LATER:
        raise UsageError(f"{parts.scheme}:// is not built yet: jobs on {LATER[parts.scheme]} come later. Use local://.")
    if parts.scheme not in SCHEMES or "://" not in url:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise UsageError(f"{url!r} is not an address that headrace knows. Use one of {known}.")
    if parts.netloc or parts.path not in {"", "/"} or parts.fragment:
        raise UsageError(
            f"{url!r} names a place, but {parts.scheme}:// has none: write {parts.scheme}://?option=value&..."
        )
    config = Config(scheme=parts.scheme)
    given: set[str] = set()
    for name, text in parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True):  # a plus is no space here
        if name not in SCHEMES[parts.scheme]:
            raise UsageError(_unknown(parts.scheme, name))
        if name in given:
            raise UsageError(f"{url!r} says {name}= twice. Say it once.")
        given.add(name)
        try:
            config = _set(config, name, text)
        except UsageError as error:
            raise UsageError(f"{name}= in {url!r}: {error}") from None
    if config.workers and config.hosts > config.workers:
        raise UsageError(f"{url!r} has more hosts than workers. Every host needs a worker of its own.")
    if config.membership.suspect_ns <= config.membership.heartbeat_ns:
        raise UsageError(f"{url!r} would suspect workers between two heartbeats. Make suspect= longer than heartbeat=.")
    return config


def with_option(config: Config, name: str, value: str) -> Config:
    """Change one setting, as in an address.

    Raises:
        UsageError: the value makes no sense.

    >>> with_option(Config(), "checkpoint", "auto").checkpoint.auto
    True

    """
    if not isinstance(value, str):
        raise UsageError(f"{name}= must be text, as in an address, not {value!r}.")
    try:
        return _set(config, name, value)
    except UsageError as error:
        raise UsageError(f"{name}=: {error}") from None


def _set(config: Config, name: str, text: str) -> Config:
    part, attribute, read = OPTIONS[name]
    if not part:
        return replace(config, **{attribute: read(text)})
    inner = getattr(config, part) or MemoryConfig()
    changed: Any = {part: replace(inner, **{attribute: read(text)})}
    return replace(config, **changed)


def _unknown(scheme: str, name: str) -> str:
    close = difflib.get_close_matches(name, SCHEMES[scheme], n=1)
    if close:
        hint = f"Did you mean {close[0]!r}?"
    elif name in OPTIONS:
        hint = f"It belongs to {', '.join(f'{s}://' for s in SCHEMES if name in SCHEMES[s])}."
    else:
        hint = f"It has {', '.join(sorted(SCHEMES[scheme]))}."
    return f"{scheme}:// has no option {name!r}. {hint}"


def as_lines(config: Config) -> list[str]:
    """List every setting, for the story and for bug reports.

    >>> "workers = 0" in as_lines(Config())
    True
    """
    lines = []
    for item in fields(config):
        value = getattr(config, item.name)
        if isinstance(value, Struct):
            lines += [f"{item.name}.{inner.name} = {getattr(value, inner.name)!r}" for inner in fields(value)]
        else:
            lines.append(f"{item.name} = {value!r}")
    return lines
