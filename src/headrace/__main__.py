"""``python -m headrace``: the command line; ``python -m headrace worker N``: a worker process."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"] and len(sys.argv) == 3:
        from headrace.runtime.worker_process import main as work

        sys.exit(work(int(sys.argv[2])))
    from headrace.cli.main import main

    sys.exit(main())
