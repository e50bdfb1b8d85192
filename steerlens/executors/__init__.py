"""The executor that runs tasks outside the calling process, in workers of Ray."""

from steerlens.executors.cluster import RayExecutor, ray

__all__ = ["RayExecutor", "ray"]
