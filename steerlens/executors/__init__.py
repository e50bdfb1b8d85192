"""Executors that run tasks outside the calling process, which are workers of Ray."""

from steerlens.executors.cluster import RayExecutor, ray

__all__ = ["RayExecutor", "ray"]
