"""Bugs in who is there, what workers do and what they say."""

from __future__ import annotations

from tests.mutants.mutant import SOON, bug

MEMBERSHIP, WORKER, FETCH = "protocols/membership.py", "protocols/worker.py", "protocols/fetch.py"
CONTROLLER, WORK, DATA = "loops/controller.py", "loops/work.py", "loops/data.py"
ENDS, WANTED, WRITTEN = (
    "every job ends",
    "there are as many workers as were asked for",
    "what is read is what was written",
)

BUGS = (
    bug(
        "replaced-twice",
        "two workers are started for one that is gone",
        WANTED,
        (
            MEMBERSHIP,
            "        return [*effects, self._launch(self._successor(host), event.now_ns)]\n",
            "        return [*effects, *(self._launch(self._successor(host), event.now_ns) for _ in range(2))]\n",
        ),
        "words",
        "crash",
    ),
    bug(
        "not-replaced",
        "nobody is started for a worker that is gone",
        WANTED,
        (
            MEMBERSHIP,
            "        return [*effects, self._launch(self._successor(host), event.now_ns)]\n",
            "        return effects\n",
        ),
        "words",
        "crash",
    ),
    bug(
        "launched-on-the-lost",
        "workers are started on a host that is lost",
        WANTED,
        (
            MEMBERSHIP,
            "        while host in self.successors:  # the one",
            "        while False:  # the one",
        ),
        "words",
        "host",
    ),
    bug(
        "launch-failure-forgotten",
        "a worker that could not be started is waited for",
        WANTED,
        (
            MEMBERSHIP,
            '                return self._bury(standing, Exited(worker, why, "idle", None, None, now, passing))\n',
            "                return []\n",
        ),
        "words",
        "host,crash",
    ),
    bug(
        "suspects-are-killed",
        "silence is taken for death",
        "silence only suspects",
        (
            MEMBERSHIP,
            "                return [Suspect(worker, now_ns - heard), Probe(worker)]\n",
            '                return self._kill(worker, "it is silent", blames=True)\n',
        ),
        "words",
        "pause",
    ),
    bug(
        "never-trusted-again",
        "a suspect that speaks stays one",
        "silence only suspects",
        (
            MEMBERSHIP,
            "                self.standing[worker] = Trusted(now)\n                return [Trust(worker)]\n",
            "                return []\n",
        ),
        "words",
        "pause",
        options=SOON,
    ),
    bug(
        "run-twice",
        "an attempt that a worker is told to run twice is run twice",
        "an attempt runs once",
        (
            WORKER,
            "        fresh = [a for a in attempts if a not in self.over and a not in self.waiting and a != self.running]\n",
            "        fresh = [a for a in attempts if a not in self.waiting]\n",
        ),
        "words",
        "double",
    ),
    bug(
        "given-back-and-run",
        "a worker runs what it has given back",
        "what is given back does not run",
        (
            WORKER,
            "        del self.waiting[attempt]\n        self._remember(attempt)\n        return [Return(attempt)]\n",
            "        self._remember(attempt)\n        return [Return(attempt)]\n",
        ),
        "crowd",
        "slow,pause",
    ),
    bug(
        "report-kept",
        "a report that is settled is sent again and again",
        "what is settled is forgotten",
        (
            "protocols/commit.py",
            "                del self.standing[attempt]\n"
            "                gone: list[Effect] = [Discard(attempt)] if left and not kept else []\n",
            "                gone: list[Effect] = [Discard(attempt)] if left and not kept else []\n",
        ),
        "words",
    ),
    bug(
        "discards-what-counts",
        "what an attempt wrote that counts is discarded",
        "what counts stays",
        (
            "protocols/commit.py",
            "[Discard(attempt)] if left and not kept else []",
            "[Discard(attempt)] if left else []",
        ),
        "words",
    ),
    bug(
        "stale-table",
        "a worker reads by an old table of where outputs lie",
        "nobody reads what does not count any more",
        (
            WORK,
            "        return table is not None and table.version >= version\n",
            "        return table is not None\n",
        ),
        "rows",
        "host,corrupt",
        first=3,
    ),
)
