"""What each command of the command line does: from parsed arguments to the text it prints."""

from steerlens.commands.look import data, models, steer
from steerlens.commands.work import demo, plane, probe, sweep

COMMANDS = {"data": data, "demo": demo, "models": models, "plane": plane, "probe": probe, "steer": steer, "sweep": sweep}

__all__ = ["COMMANDS"]
