"""The loops that processes run: machines wired to ports.  The same code in a real run, inline and in a simulation."""
