"""Bugs in who does what: the schedule, the claims and the lineage."""

from __future__ import annotations

from tests.mutants.mutant import SOON, bug

SCHEDULE, CLAIMS, LINEAGE = "protocols/schedule.py", "protocols/claims.py", "protocols/lineage.py"
ENDS, EXACT, ONCE, PATIENT = (
    "every job ends",
    "the result is the one of a failure-free run",
    "all counts once",
    "as often as it may",
)

BUGS = (
    bug(
        "lost-retry",
        "what a lost worker was at is not offered again",
        ENDS,
        (
            SCHEDULE,
            "        return [*failing, *broken, *self._offer([state.task]), *self._release()]\n",
            "        return [*failing, *broken, *self._release()]\n",
        ),
        "words",
        "crash",
    ),
    bug(
        "dead-attempts-linger",
        "the attempts of a worker that is gone stay on the books",
        ENDS,
        (
            SCHEDULE,
            "                effects += self._ended(attempt, event.now_ns, event.how)\n",
            "                pass\n",
        ),
        "words",
        "crash",
    ),
    bug(
        "double-count",
        "what a task added is counted again when its output was lost and it ran anew",
        ONCE,
        (
            SCHEDULE,
            "        if event.output.updates and jobs and task not in self.jobs[jobs[0]].counted:\n",
            "        if event.output.updates and jobs:\n",
        ),
        "words",
        "host",
        first=1,
    ),
    bug(
        "gives-up-early",
        "a task is given up one failure too soon",
        PATIENT,
        (
            "protocols/trouble.py",
            "        if trouble.failures < self._config.max_failures:\n",
            "        if trouble.failures < self._config.max_failures - 1:\n",
        ),
        "failing",
        "crash",
    ),
    bug(
        "lost-outputs-stay",
        "an output that a reader has not found is not made again",
        ENDS,
        (
            LINEAGE,
            "        return self._lose([(found, gone)])\n",
            "        return Change()\n",
        ),
        "words",
        "corrupt",
        first=4,
    ),
    bug(
        "any-generation-lost",
        "late news of an output that was made anew since take the new one off the books",
        "news of a lost generation concern that generation alone",
        (
            LINEAGE,
            "if p in found.outputs and found.outputs[p].attempt == attempt]",
            "if p in found.outputs]",
        ),
        "rows",
        "host,corrupt,slow",
        first=7,
    ),
    bug(
        "frees-what-is-read",
        "a shuffle is freed while a stage still reads it",
        "what is needed is not freed",
        (
            LINEAGE,
            "        if found is None or found.readers or found.wanted:\n",
            "        if found is None:\n",
        ),
        "rounds",
        first=4,
    ),
    bug(
        "lost-result-waited-for",
        "a result that was lost on its way is not made again",
        ENDS,
        (
            SCHEDULE,
            "        return [note, self._reopen(task, event.attempt), *failing, *self._offer([task])]\n",
            "        return [note, self._reopen(task, event.attempt), *failing]\n",
        ),
        "rows",
        "host,unreadable",
        first=5,
    ),
    bug(
        "lost-result-not-reopened",
        "a task whose result was lost may not be committed anew",
        ENDS,
        (
            SCHEDULE,
            "        return [note, self._reopen(task, event.attempt), *failing, *self._offer([task])]\n",
            "        return [note, *failing, *self._offer([task])]\n",
        ),
        "rows",
        "host,unreadable",
        first=5,
    ),
    bug(
        "settled-before-used",
        "an output is settled before what came along was used",
        EXACT,
        (
            SCHEDULE,
            "        return [*effects, settle, *self._release()]  # settled last",
            "        return [settle, *effects, *self._release()]  # settled last",
        ),
        "words",
    ),
    bug(
        "never-overdue",
        "an attempt may take as long as it likes",
        "no attempt takes longer than its job allows",
        (
            "protocols/oversight.py",
            "            if 0 < limits[stage] <= ran_ns:\n",
            "            if 0 < limits[stage] <= ran_ns - (1 << 62):\n",
        ),
        "late",
        "slow",
        options="speculate=no",
    ),
    bug(
        "waits-for-all-but-one",
        "a job is done when one partition is still lacking",
        EXACT,
        (
            SCHEDULE,
            "        if job not in self.jobs or self.lineage.missing(job):\n",
            "        if job not in self.jobs or len(self.lineage.missing(job)) > 1:\n",
        ),
        "takes",
    ),
    bug(
        "second-commit",
        "a second attempt at a task counts, too",
        ONCE,
        (
            CLAIMS,
            "        if task in self.closed:\n            effects.append(Refused",
            "        if False:\n            effects.append(Refused",
        ),
        "rounds",
        "slow,pause",
        options=SOON,
        first=10,
    ),
    bug(
        "never-reopened",
        "a task whose output was lost may not be committed anew",
        ENDS,
        (
            CLAIMS,
            "                if self.closed.get(task) == attempt:\n                    del self.closed[task]\n",
            "",
        ),
        "words",
        "host",
        first=1,
    ),
    bug(
        "given-back-and-lost",
        "what a worker gives back is offered to nobody",
        ENDS,
        (
            "loops/controller.py",
            '        if report.outcome == "returned":\n            self.tries.unbegun([attempt])\n',
            '        if report.outcome == "returned":\n            self.tries.unbegun([attempt])\n            return\n',
        ),
        "crowd",
        "slow,pause",
        first=3,
    ),
)
