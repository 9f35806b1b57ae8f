"""Authenticated, bounded channels over sockets."""
