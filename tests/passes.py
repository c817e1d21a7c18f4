"""What went through a module of a model, counted from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def passes_of(module: nn.Module) -> Iterator[list[dict[str, Any]]]:
    """The arguments of each forward pass of a module meanwhile, by name, those without one as `args`."""
    passes: list[dict[str, Any]] = []
    handle = module.register_forward_pre_hook(
        lambda _, args, kwargs: passes.append({"args": args, **kwargs}), with_kwargs=True
    )
    try:
        yield passes
    finally:
        handle.remove()
