"""A simulated network: frames take time, and arrive in order while a channel lives.

A frame that is lost is sent again below the channel, as TCP would, so loss is delay, for it and for all behind it on its
channel; nothing orders two channels.  A partition holds back what is sent, and breaks the channels of those who hear nothing
for too long; the other side may go on believing in them.
"""

from headrace.sim.network.channel import Party, SimNetwork
from headrace.sim.network.link import LinkModel
from headrace.sim.network.wire import BREAK_NS, Wire

__all__ = ["BREAK_NS", "LinkModel", "Party", "SimNetwork", "Wire"]
