"""The real world: clocks, files, sockets, processes.  The only room, with its simulated sibling, that touches them."""
