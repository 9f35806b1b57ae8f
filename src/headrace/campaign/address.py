"""The address of one simulated run: the campaign's cluster, laid over what the program says itself."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlsplit

from headrace.campaign.words import Cluster
from headrace.config import SCHEMES, parse_url

OURS = frozenset({"workers", "hosts", "seed", "faults", "plan"})  # what the campaign decides


def simulated(address: str, cluster: Cluster, seed: int, plan: str | None = None) -> str:
    """Make the address of a simulated run from the one that a program says.

    Args:
        plan: the path of a file that says what goes wrong.

    Raises:
        UsageError: the program's address does not mean anything.

    >>> simulated("local://?workers=2&memory=64MB", Cluster(workers=8, hosts=2), 17)
    'sim://?memory=64MB&workers=8&hosts=2&seed=17&faults=all'

    """
    parse_url(address)
    theirs = parse_qsl(urlsplit(address).query.replace("+", "%2B"), keep_blank_values=True)
    given = dict(cluster.options)
    kept = [(k, v) for k, v in theirs if k in SCHEMES["sim"] and k not in OURS and k not in given]
    hosts = min(cluster.hosts, cluster.workers)
    ours = [("workers", cluster.workers), ("hosts", hosts), ("seed", seed), ("faults", ",".join(cluster.faults))]
    if plan is not None:
        ours[-1] = ("plan", plan)
    said = [*kept, *given.items(), *((name, value) for name, value in ours if value != "")]
    return "sim://?" + "&".join(f"{name}={quote(str(value), safe=',/')}" for name, value in said)
