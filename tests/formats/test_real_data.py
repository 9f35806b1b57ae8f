"""Files as the world writes them, against what was computed of them once without this engine (facts.json)."""

from __future__ import annotations

import csv
import gzip
import io
from decimal import Decimal
from operator import add
from pathlib import Path

from headrace.context import Context
from tests.conftest import SHARED
from tests.facts import facts

RETAIL = SHARED / "events" / "online_retail" / "by-day"


def test_sales_of_nine_months_from_as_many_packed_files_as_days(local: Context) -> None:
    known = facts("events")["online_retail/by-day"]
    rows = local.csv(RETAIL, header=True)
    found = rows.map(lambda row: (row["Country"], (1, int(row["Quantity"]), revenue(row))))
    by_country = found.reduce_by_key(lambda one, other: tuple(map(add, one, other))).collect_as_map()
    assert {country: number for country, (number, _, _) in by_country.items()} == known["rows_per_country"]
    assert sum(quantity for _, quantity, _ in by_country.values()) == known["quantity_sum"]
    total = sum(money for _, _, money in by_country.values())
    assert total == Decimal(known["revenue_sum_quantity_times_price_exact_decimal"])


def revenue(row: dict[str, str]) -> Decimal:
    return Decimal(row["UnitPrice"]) * Decimal(row["Quantity"])


def test_a_large_file_is_cut_and_loses_no_row(local: Context, tmp_path: Path) -> None:
    """With a description that spans lines in every tenth row, as people write them."""
    known = facts("events")["online_retail/by-day"]["rows_per_file"]
    days = sorted(known)[:20]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for day in days:
        with gzip.open(RETAIL / day, "rt", encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file)):
                row[2] = f'{row[2]}\r\n"sold" on\n{day}' if number % 10 == 5 else row[2]
                writer.writerow(row)
    path = tmp_path / "sales.csv"
    path.write_text(text.getvalue(), "utf-8", newline="")
    rows = local.csv(path, min_partitions=12)
    sizes = rows.glom().map(len).collect()
    assert sum(sizes) == sum(known[day] + 1 for day in days)
    assert len(sizes) >= 12
    assert min(sizes) > 0
    text.seek(0)
    assert rows.collect() == list(csv.reader(text))


def test_edits_of_a_day_in_json(local: Context) -> None:
    known = facts("events")["wikiticker-2015-09-12-sampled.json.gz"]
    edits = local.json_lines(SHARED / "events" / "wikiticker-2015-09-12-sampled.json.gz")
    counted = edits.map(lambda edit: (1, edit["added"], edit["deleted"], edit["isRobot"]))
    found = counted.reduce(lambda one, other: tuple(a + b for a, b in zip(one, other, strict=True)))
    assert found == (known["rows"], known["added_sum"], known["deleted_sum"], known["rows_by_robots"])


def test_images_by_records_of_bytes(local: Context) -> None:
    known = facts("ml")["mnist-t10k"]
    records = local.binary_records(SHARED / "ml" / "mnist-t10k-images-idx3-ubyte.gz", 16)
    pixels = records.map(sum).sum() - sum(records.first())  # the first 16 bytes say what the others are
    assert pixels == known["sum_of_all_pixels"]
