"""Only port implementations differ between a real run and a simulated one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

JOB = """
import json, operator, sys
import headrace

def loaded(_):
    import sys
    yield sorted(name for name in sys.modules if name.split(".")[0] == "headrace")

with headrace.connect(sys.argv[1], progress=False) as ctx:
    pairs = ctx.text_file(sys.argv[2]).flat_map(str.split).map(lambda word: (word, 1))
    pairs.reduce_by_key(operator.add).collect()
    pairs.group_by_key().map_values(len).sort_by(lambda pair: pair[0]).count()
    pairs.join(pairs.distinct()).cache().count()
    ctx.broadcast(1), ctx.accumulator(0)
    modules = set(ctx.range(4).map_partitions(loaded).reduce(lambda one, other: one + other))
modules |= {name for name in sys.modules if name.split(".")[0] == "headrace"}
print(json.dumps(sorted(modules)))
"""


def modules(script: Path, url: str, text: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, str(script), url, str(text)], capture_output=True, text=True, check=True, timeout=100
    )
    return set(json.loads(done.stdout))


def test_the_modules_of_both_differ_in_runtime_and_sim_alone(tmp_path: Path) -> None:
    """Both sides of a real run, the program's and the workers', against the one process of a simulated run."""
    script = tmp_path / "job.py"
    script.write_text(JOB)
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be\n" * 100)
    real = modules(script, "local://?workers=2", text)
    simulated = modules(script, "sim://?workers=2&seed=1", text)
    assert "headrace.loops.work" in real & simulated
    assert "headrace.loops.controller" in real & simulated
    apart = {name for name in real ^ simulated if name.split(".")[1] not in ("runtime", "sim")}
    assert apart <= {"headrace.__main__"}, "the engine's own code must be the same in both"
    assert any(name.startswith("headrace.sim.") for name in simulated - real)
    assert any(name.startswith("headrace.runtime.") for name in real - simulated)
