"""A seed decides everything: the same trace in any process, whatever the order of its sets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

JOB = """
import operator, sys, json
import headrace
from headrace.observe.stories import find, read

traces = []
for seed in range(int(sys.argv[2]), int(sys.argv[3])):
    with headrace.connect(f"sim://?workers=8&hosts=4&seed={seed}&faults=all&split=24k", progress=False) as ctx:
        counts = (ctx.text_file(sys.argv[1]).flat_map(str.split).map(lambda word: (word, 1)).reduce_by_key(operator.add))
        grouped = counts.map(lambda pair: (len(pair[0]), pair[0])).group_by_key().map_values(len).collect()
        best = counts.top(3, key=lambda pair: pair[1])
    *_, last = read(find(ctx.run))
    traces.append((last["trace"], last["events"], last["faults hit"], sorted(grouped), best))
print(json.dumps(traces))
"""


def traces(script: Path, text: str, hash_seed: str, first: int, stop: int) -> object:
    done = subprocess.run(
        [sys.executable, str(script), text, str(first), str(stop)],
        env={"PYTHONHASHSEED": hash_seed, "HEADRACE_STORIES": str(script.parent / f"stories-{hash_seed}")},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return json.loads(done.stdout)


def test_the_same_seed_in_other_processes(tmp_path: Path, books: list[str]) -> None:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    text = tmp_path / "text.txt"
    text.write_text(
        "".join(Path(books[0]).read_text(encoding="utf-8").splitlines(keepends=True)[:4000]), encoding="utf-8"
    )
    once = traces(script, str(text), "1", 0, 8)
    again = traces(script, str(text), "2", 0, 8)
    assert once == again
    assert isinstance(once, list)
    assert len({trace for trace, *_ in once}) == len(once), "every seed has a trace of its own"
