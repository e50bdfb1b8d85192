"""Executors that run tasks outside this process: workers of Ray."""

from steerlens.executors.cluster import RayExecutor, ray

__all__ = ["RayExecutor", "ray"]
