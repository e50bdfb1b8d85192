"""The functions of the commands. Each function takes parsed arguments and returns the text that is printed."""

from steerlens.commands.look import data, models, steer
from steerlens.commands.serve import serve
from steerlens.commands.work import align, demo, plane, probe, search, sweep

COMMANDS = {own.__name__: own for own in (align, data, demo, models, plane, probe, search, serve, steer, sweep)}

__all__ = ["COMMANDS"]
