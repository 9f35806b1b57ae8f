"""Bugs in what is written, read and removed."""

from __future__ import annotations

from tests.mutants.mutant import SOON, bug

BODY, WORK, RESULTS = "loops/body.py", "loops/work.py", "loops/results.py"
WRITTEN, GONE, DURABLE = (
    "what is read is what was written",
    "what is not needed is gone",
    "what is announced is durable",
)

BUGS = (
    bug(
        "unchecked-blocks",
        "blocks are not compared with their checksums",
        WRITTEN,
        (
            "execute/chunks.py",
            "            if crc32(body) != checksum:\n",
            "            if False:\n",
        ),
        "words",
        "corrupt",
        first=34,
    ),
    bug(
        "reported-before-published",
        "an output is reported that is not in its place yet",
        "what is reported is there",
        (
            BODY,
            "            self._output.publish(self._shared.layout.path(self._shared.host, self.output_name))\n",
            "            pass\n",
        ),
        "words",
    ),
    bug(
        "others-parts-discarded",
        "an attempt that is refused removes what other tasks wrote",
        "attempts do not touch what others wrote",
        (
            BODY,
            '            files.remove_tree(self._part_path.rpartition("/")[0])\n',
            '            files.remove_tree(self._part_path.rpartition("/")[0].rpartition("/")[0])\n',
        ),
        "saved",
        "slow,pause",
        options=SOON,
        first=25,
    ),
    bug(
        "result-left",
        "a result that was brought stays on its host",
        GONE,
        (
            RESULTS,
            "        self._free(host, result_name(effect.attempt))\n",
            "",
        ),
        "rows",
        "crash",
    ),
    bug(
        "refused-result-left",
        "a result that was refused stays on its host",
        GONE,
        (
            BODY,
            "        if self._result is not None:\n            self._result.discard()\n",
            "",
        ),
        "rows",
        "slow,pause",
        options=SOON,
        first=16,
    ),
    bug(
        "shuffle-left",
        "shuffles that nothing refers to stay on their hosts",
        GONE,
        (
            WORK,
            "            self.ports.files.remove_tree(folder)\n        for operator in message.operators:\n",
            "        for operator in message.operators:\n",
        ),
        "rounds",
        "crash",
    ),
    bug(
        "marked-before-whole",
        "an output is marked as whole before its parts are in place",
        "`_SUCCESS` comes last",
        (
            "dataset/committing.py",
            "        for part, where in parts.items():\n            files.rename",
            '        files.create(f"{folder}/{SUCCESS}").close()\n'
            "        for part, where in parts.items():\n            files.rename",
        ),
        "saved",
        "crash",
    ),
    bug(
        "part-not-synced",
        "an output is announced whose parts were not synced",
        DURABLE,
        (
            "execute/task.py",
            "            file.sync()\n            file.close()\n        except BaseException:\n",
            "            file.close()\n        except BaseException:\n",
        ),
        "saved",
        "crash",
    ),
    bug(
        "names-not-synced",
        "an output is marked as whole before the names of its parts were synced",
        DURABLE,
        (
            "dataset/committing.py",
            '        files.sync_dir(folder)\n        mark = files.create(f"{folder}/{SUCCESS}")\n',
            '        mark = files.create(f"{folder}/{SUCCESS}")\n',
        ),
        "saved",
        "crash",
    ),
    bug(
        "another-part-served",
        "who asks for a part of a block is given what lies before it",
        WRITTEN,
        (
            "store/serving.py",
            "    data = file.pread(start + offset, wanted)\n",
            "    data = file.pread(offset, wanted)\n",
        ),
        "rows",
        "crash",
    ),
    bug(
        "everything-is-near",
        "a worker opens files of other hosts",
        "a host reads its own folder only",
        (
            WORK,
            "            frozenset({host, HOME}) if config.hosts == 1 else frozenset({host}),\n",
            '            frozenset({host, HOME, HostId("h0"), HostId("h1")}),\n',
        ),
        "words",
        "crash",
        first=2,
    ),
    bug(
        "tries-numbered-alike",
        "two tries of a task have the same number",
        "each try of a task has a number of its own",
        (
            "protocols/tries.py",
            "            return len(taken) - 1\n",
            "            return max(0, len(taken) - 2)\n",
        ),
        "failing",
        "crash",
    ),
)
