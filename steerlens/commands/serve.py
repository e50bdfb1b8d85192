"""The command serve, which starts a server."""

from argparse import Namespace
from pathlib import Path

from steerlens.commands.work import named
from steerlens.steering import SteeringPlan


def serve(args: Namespace) -> str:
    """Runs an OpenAI-compatible server whose requests choose a plan by name. The server runs until the program is interrupted."""
    from steerlens.vllm.loading import check_installed, unloaded
    from steerlens.vllm.server import serve as run

    check_installed()
    plans = {name: SteeringPlan.load(file) for name, file in named("plan", args.plan).items()}
    called = args.name or Path(args.model).name
    run(unloaded(args.model, args.dtype), plans, called=called, host=args.host, port=args.port, options=args.vllm_options)
    return "The server was stopped."
