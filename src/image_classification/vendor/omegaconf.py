"""OmegaConf: its table of resolvers, which all of a process share.

Tried with OmegaConf 2.4. `BaseContainer._resolvers`: there is no public way to use resolvers for a
while and to leave those of others, such as Kedro's loader, as they were. It can go when OmegaConf
takes resolvers with a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import OmegaConf
from omegaconf.basecontainer import BaseContainer


@contextmanager
def use_resolvers(resolvers: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Let ``${name:...}`` call these functions for a while, and no others but OmegaConf's own.

    The environment is not read by OmegaConf's own `oc.env`, as Kedro does not.
    """
    before = dict(BaseContainer._resolvers)
    try:
        OmegaConf.clear_resolver("oc.env")
        for name, function in resolvers.items():
            OmegaConf.register_resolver(name, function, replace=True, annotation_validation="off")
        yield
    finally:
        BaseContainer._resolvers.clear()
        BaseContainer._resolvers.update(before)
