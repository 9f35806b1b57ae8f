"""``python -m headrace``: the command line; ``python -m headrace worker N``: a worker, or who runs tasks again."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"] and len(sys.argv) == 3:
        from headrace.runtime.worker_process import main as work

        sys.exit(work(int(sys.argv[2])))
    if sys.argv[1:2] == ["verifier"] and len(sys.argv) == 3:
        from headrace.runtime.verify.child import main as verify

        sys.exit(verify(int(sys.argv[2])))
    from headrace.cli.main import main

    sys.exit(main())
