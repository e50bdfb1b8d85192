"""Who runs tasks when it is not this process: workers of Ray."""

from steerlens.executors.cluster import RayExecutor, ray

__all__ = ["RayExecutor", "ray"]
