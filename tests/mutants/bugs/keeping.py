"""Bugs in what is kept and copied, and in tasks that meet."""

from __future__ import annotations

from tests.mutants.mutant import bug

LINEAGE, GANGS, REPLICATE = "protocols/lineage.py", "protocols/gangs.py", "protocols/replicate.py"
ENDS, TOGETHER, COPIED = "every job ends", "tasks that meet count together", "as many workers keep it as were asked for"

BUGS = (
    bug(
        "unkept-and-held",
        "workers hold on to what was given up",
        "what is given up is gone",
        (
            "loops/work.py",
            "            self.cache.forget(operator)\n",
            "",
        ),
        "kept",
    ),
    bug(
        "copies-of-the-dead",
        "copies that a lost worker kept still count",
        COPIED,
        (
            REPLICATE,
            "            self._lose(key, worker)\n        effects = self._turn_from(worker, now_ns)\n",
            "            pass\n        effects = self._turn_from(worker, now_ns)\n",
        ),
        "replicated",
        "crash",
        first=27,
    ),
    bug(
        "copy-beside-itself",
        "a second copy is asked of the host that has the first",
        "the loss of one host loses nothing of what two workers keep",
        (
            REPLICATE,
            "        apart = [worker for worker in others if self.hosts[worker] not in hosts]\n",
            "        apart = [worker for worker in others if self.hosts[worker] in hosts]\n",
        ),
        "replicated",
        "slow",
    ),
    bug(
        "part-of-a-gang",
        "what one task of a gang made counts before the others have ended",
        TOGETHER,
        (
            GANGS,
            "        if len(gang.done) < len(gang.members):\n            return []\n",
            "        if len(gang.done) < len(gang.members) - 1:\n            return []\n",
        ),
        "gang",
        "crash,pause",
    ),
    bug(
        "gang-left-waiting",
        "the others of a gang are not called off when one is lost",
        ENDS,
        (
            GANGS,
            "                effects += self._stop(attempt, because, now_ns)\n        return effects + (self._offer_gang",
            "                pass\n        return effects + (self._offer_gang",
        ),
        "gang",
        "crash",
        first=12,
    ),
    bug(
        "mixed-gangs",
        "one lost output of a gang is made again without the others",
        TOGETHER,
        (
            LINEAGE,
            "            partitions = list(stage.outputs) if gone and stage.spec.barrier else gone\n",
            "            partitions = gone\n",
        ),
        "gang",
        "host,corrupt,unreadable",
        first=3,
    ),
    bug(
        "gang-result-alone",
        "one lost result of a gang is made again without the others",
        TOGETHER,
        (
            GANGS,
            "        if event.output.where is None:\n            self.together[stage] = gang.members\n",
            "",
        ),
        "gang",
        "host,unreadable",
        options="inline=1",
        first=5,
    ),
    bug(
        "early-meeting",
        "a task takes the answer to the last meeting for the one to this",
        "all that meet hear the same",
        (
            "loops/gangs.py",
            "        if waiting is not None and waiting.said.meeting == message.meeting:\n",
            "        if waiting is not None:\n",
        ),
        "gang",
        "double,slow",
        first=7,
    ),
    bug(
        "meets-without-one",
        "a meeting takes place while one of the gang has not come",
        "all that meet hear the same",
        (
            "protocols/gather.py",
            "        if len(gang.came) < len(gang.members):\n            return [self._stands(gang)]\n"
            "        gang.said = tuple(gang.came[member].message for member in gang.members)\n",
            "        if len(gang.came) < len(gang.members) - 1:\n            return [self._stands(gang)]\n"
            '        gang.said = tuple(gang.came[m].message if m in gang.came else "" for m in gang.members)\n',
        ),
        "gang",
        "slow",
    ),
)
