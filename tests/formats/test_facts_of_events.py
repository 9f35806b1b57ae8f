"""Sales, flights and visits of the world: what people ask of them, against facts and plain loops over the same files."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from operator import add
from pathlib import Path
from typing import Any

import pytest

from headrace.context import Context
from tests.conftest import SHARED
from tests.facts import facts

RETAIL = SHARED / "events" / "online_retail" / "by-day"
FLIGHTS = SHARED / "events" / "nycflights13_flights.csv.gz"
CARRIERS = {
    "9E": "Endeavor", "AA": "American", "AS": "Alaska", "B6": "JetBlue", "DL": "Delta", "EV": "ExpressJet",
    "F9": "Frontier", "FL": "AirTran", "HA": "Hawaiian", "MQ": "Envoy", "OO": "SkyWest", "UA": "United",
    "US": "US Airways", "VX": "Virgin America", "WN": "Southwest", "YV": "Mesa", "ZZ": "flies from elsewhere",
}  # fmt: skip


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Read a packed CSV file without the engine."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def revenue(row: dict[str, str]) -> Decimal:
    return Decimal(row["UnitPrice"]) * Decimal(row["Quantity"])


# Sales.


@pytest.mark.parametrize("days", ["2011-01-*", pytest.param("*", marks=pytest.mark.slow)])
def test_revenue_by_day_and_country(local: Context, days: str) -> None:
    known = facts("events")["online_retail/by-day"]
    sales = local.csv(RETAIL / f"{days}.csv.gz", header=True)
    sold = sales.map(lambda row: ((row["InvoiceDate"][:10], row["Country"]), (revenue(row), 1)))
    table = sold.reduce_by_key(lambda one, other: (one[0] + other[0], one[1] + other[1])).sort_by_key().collect()
    expected: dict[tuple[str, str], tuple[Decimal, int]] = {}
    for path in sorted(RETAIL.glob(f"{days}.csv.gz")):
        for row in rows(path):
            key = row["InvoiceDate"][:10], row["Country"]
            money, count = expected.get(key, (Decimal(0), 0))
            expected[key] = money + revenue(row), count + 1
    assert table == sorted(expected.items())
    per_day: Counter[str] = Counter()
    for (day, _), (_, count) in table:
        per_day[f"{day}.csv.gz"] += count
    assert per_day == {day: count for day, count in known["rows_per_file"].items() if day in per_day}
    if days == "*":
        assert len(per_day) == known["files"]
        per_country: defaultdict[str, Decimal] = defaultdict(Decimal)
        for (_, country), (money, _) in table:
            per_country[country] += money
        assert sum(per_country.values()) == Decimal(known["revenue_sum_quantity_times_price_exact_decimal"])
        best = [(country, Decimal(money)) for country, money in known["revenue_top10_countries"]]
        assert sorted(per_country.items(), key=lambda pair: -pair[1])[:10] == best


@pytest.mark.slow
def test_who_bought_what(local: Context) -> None:
    known = facts("events")["online_retail/by-day"]
    sales = local.csv(RETAIL, header=True).cache()
    assert sales.map(lambda row: row["InvoiceNo"]).distinct().count() == known["distinct_invoices"]
    assert sales.map(lambda row: row["StockCode"]).distinct().count() == known["distinct_stockcodes"]
    customers = sales.map(lambda row: row["CustomerID"]).filter(bool).distinct().count()
    assert customers == known["distinct_customers"]
    assert sales.filter(lambda row: not row["CustomerID"]).count() == known["rows_without_customer"]
    sold = sales.map(lambda row: (row["StockCode"], int(row["Quantity"]))).reduce_by_key(add)
    best = sold.top(10, key=lambda pair: pair[1])
    assert best == [(code, number) for code, number in known["top10_stockcodes_by_quantity"]]


# Flights.


def test_delays_by_carrier_with_their_names(local: Context, tmp_path: Path) -> None:
    """A join of a large table and a small one, where one side has keys that the other lacks."""
    known = facts("events")["nycflights13_flights.csv.gz"]
    path = tmp_path / "carriers.csv"
    path.write_text("code,name\n" + "".join(f"{code},{name}\n" for code, name in CARRIERS.items()))
    names = local.csv(path, header=True).map(lambda row: (row["code"], row["name"]))
    flights = local.text_file(FLIGHTS).filter(lambda line: not line.startswith("year,")).map(flight).cache()
    left = flights.flat_map_values(lambda delay: [] if delay is None else [delay])
    delays = left.aggregate_by_key(
        (0, 0), lambda s, delay: (s[0] + delay, s[1] + 1), lambda a, b: tuple(map(add, a, b))
    )
    means = delays.map_values(lambda pair: pair[0] / pair[1])
    found = names.join(means).collect_as_map()
    assert {code: round(mean, 6) for code, (_, mean) in found.items()} == known["mean_dep_delay_per_carrier"]
    assert {code: name for code, (name, _) in found.items()} == {c: n for c, n in CARRIERS.items() if c != "ZZ"}
    by_name = names.join(flights).map(lambda pair: pair[1][0]).count_by_value()
    assert by_name == {CARRIERS[code]: count for code, count in known["rows_per_carrier"].items()}
    assert names.left_outer_join(means).filter(lambda pair: pair[1][1] is None).keys().collect() == ["ZZ"]
    assert flights.count() - left.count() == known["rows_without_departure_(NA)"]
    assert left.values().sum() == known["dep_delay_sum_minutes"]
    assert left.values().max() == known["dep_delay_max_minutes"]


def flight(line: str) -> tuple[str, int | None]:
    """Read a carrier, and the delay of a flight that left."""
    fields = line.split(",")
    return fields[7], None if fields[4] == "NA" else int(fields[4])


# Visits.

LINE = re.compile(r'(\S+) \S+ \S+ \[([^\]]+)\] "[^"]*" \d{3} (?:\d+|-) "[^"]*" "[^"]*"')


def visit(line: str) -> list[tuple[str, int]]:
    """Read who came when."""
    found = LINE.fullmatch(line)
    return [(found[1], int(datetime.strptime(found[2], "%d/%b/%Y:%H:%M:%S %z").timestamp()))] if found else []


def sessions(times: Iterable[int], gap: int) -> list[int]:
    """Count the events of each session: a new one begins after a longer gap."""
    lengths: list[int] = []
    last: int | None = None
    for time in sorted(times):
        if last is None or time - last > gap:
            lengths.append(0)
        lengths[-1] += 1
        last = time
    return lengths


def known_sessions(known: dict[str, Any], lengths: list[int]) -> None:
    assert len(lengths) == known["sessions"]
    assert max(lengths) == known["largest_session_events"]
    assert lengths.count(1) == known["sessions_of_one_event"]


def test_sessions_of_a_log_in_no_order(local: Context) -> None:
    known = facts("logs")["apache_access.log.gz"]
    visits = local.text_file(SHARED / "logs" / "apache_access.log.gz").flat_map(visit).cache()
    gap = known["sessions_per_client_30min"]["gap_seconds"]
    lengths = visits.group_by_key().flat_map(lambda group: sessions(group[1], gap)).collect()
    known_sessions(known["sessions_per_client_30min"], lengths)
    assert visits.keys().distinct().count() == known["distinct_client_addresses"]
    assert (visits.values().min(), visits.values().max()) == (known["first_time"], known["last_time"])
    hours = visits.map(lambda pair: datetime.fromtimestamp(pair[1], UTC).strftime("%Y-%m-%dT%H")).count_by_value()
    counted = known["requests_per_hour_UTC"]
    assert sum(abs(hours[hour] - count) for hour, count in counted.items()) <= 1, "one line is not of the format"
    assert set(hours) == set(counted)


def test_sessions_of_a_log_in_order_by_sorting_within_partitions(local: Context) -> None:
    """The other way to do it: dealt by host and sorted by host and time, with nothing gathered."""
    known = facts("logs")["NASA_19950801.tsv.gz"]
    table = local.csv(SHARED / "logs" / "NASA_19950801.tsv.gz", header=True, delimiter="\t", quoting=csv.QUOTE_NONE)
    visits = table.map(lambda row: ((row["host"], int(row["time"])), None))
    gap = known["sessions_per_host_30min"]["gap_seconds"]
    dealt = visits.repartition_and_sort_within_partitions(6, lambda key: hash_of(key[0]))
    known_sessions(known["sessions_per_host_30min"], dealt.map_partitions(lambda part: runs(part, gap)).collect())
    assert visits.keys().keys().distinct().count() == known["distinct_hosts"]


def hash_of(host: str) -> int:
    return sum(host.encode())


def runs(part: Iterable[tuple[tuple[str, int], None]], gap: int) -> Iterator[int]:
    """Count the events of each session of sorted visits."""
    length, last = 0, ("", 0)
    for (host, time), _ in part:
        if length and (host != last[0] or time - last[1] > gap):
            yield length
            length = 0
        length, last = length + 1, (host, time)
    if length:
        yield length
