"""The functions of the command line's commands. Each turns parsed arguments into the printed text."""

from steerlens.commands.look import data, models, steer
from steerlens.commands.serve import serve
from steerlens.commands.work import align, demo, plane, probe, search, sweep

COMMANDS = {own.__name__: own for own in (align, data, demo, models, plane, probe, search, serve, steer, sweep)}

__all__ = ["COMMANDS"]
