"""The configuration, read once in a session, over which a run's own parameters are laid as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

from image_classification import words
from image_classification.configuration.location import BASE, open_configuration
from image_classification.configuration.plain import (
    DEFAULT,
    MERGED_BY_KEY,
    PATTERNS,
    unify_names,
)
from image_classification.configuration.project import (
    make_words,
    read_project,
    settle_words,
    take,
)
from image_classification.configuration.resolvers import RESOLVERS
from image_classification.configuration.scope import make_resolvers, read_data_scope
from image_classification.vendor.kedro_config import answer_globals

LOADER_ARGUMENTS: dict[str, Any] = {
    "base_env": BASE,
    "default_run_env": DEFAULT,
    "config_patterns": PATTERNS,
    "custom_resolvers": RESOLVERS,
    "merge_strategy": {MERGED_BY_KEY: "soft"},
}
"""Which files are read, how environments are merged, and which functions they may call."""


class ReadOnceConfigLoader(OmegaConfigLoader):
    """Kedro's loader, but it evaluates no value of a run, and reads each file once.

    It also reads the project file, from which the others take by ``${project:classes}``.

    Whatever a person types (a trigger form, an answer, `--params`) comes here as `runtime_params`.
    Kedro merges them with the files and evaluates both, twice where environments are merged, so
    that ``${env:NAME}`` in a field would read the environment. Here only the files may say
    ``${...}``: what a run says so is text, also where the files refer to it.
    """

    def __init__(
        self,
        conf_source: str,
        env: str | None = None,
        runtime_params: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        # Must be there first: Kedro's loader reads a value while it is made.
        self._known: dict[str, dict[str, Any]] = {}
        self._texts = _Texts()
        place = Path(conf_source)
        conf = open_configuration(place) if place.is_file() else place
        if (env or options.get("default_run_env")) == DEFAULT and not (conf / DEFAULT).is_dir():
            env, options["default_run_env"] = None, BASE
        self._options = {"env": env, **options}
        self.conf = conf
        self.project = read_project(conf, env or options.get("default_run_env"))
        words.use(make_words(self.project))
        self.scope = read_data_scope(self.project, env or options.get("default_run_env"))
        self._resolvers: dict[str, Callable[..., Any]] = {
            "project": partial(take, self.project),
            **make_resolvers(self.project, env or options.get("default_run_env")),
        }
        super().__init__(
            str(conf), runtime_params=self._texts.hide(runtime_params or {}), **self._options
        )

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the configuration of a kind, such as "catalog": a copy, which may be changed."""
        if key not in self._known:
            # Anew for each: resolvers are one for the process, and each loader has its own project.
            for name, resolver in self._resolvers.items():
                OmegaConf.register_resolver(name, resolver, replace=True)
            answer_globals(self)
            self._known[key] = self._texts.restore(super().__getitem__(key))
            if key == "parameters":
                unify_names(self._known[key])
                settle_words(self.project, self._known[key])
        return deepcopy(self._known[key])

    def read_configured(self) -> dict[str, Any]:
        """Return the parameters as the files say, whatever this run changes."""
        if not self.runtime_params:
            return self["parameters"]
        return type(self)(str(self.conf_source), **self._options)["parameters"]

    def __setitem__(self, key: str, value: Any) -> None:
        """Use this value from now on, not that of the files."""
        self._known.pop(key, None)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        """Use the values of the files again."""
        self._known.pop(key, None)
        super().__delitem__(key)


class _Texts:
    """Texts that OmegaConf must not read: a mark stands in for each while it evaluates."""

    def __init__(self) -> None:
        # Nobody who types a value can know it, and so none can refer to another's.
        self._secret = token_hex(16)
        self._hidden: dict[str, str] = {}

    def hide(self, value: Any) -> Any:
        """Return a value with a mark for each text that OmegaConf would not take as it is."""
        if isinstance(value, Mapping):
            return {key: self.hide(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.hide(each) for each in value]
        # "???" is a value still missing, to OmegaConf, and left out of a merge.
        if not isinstance(value, str) or ("${" not in value and value != "???"):
            return value
        mark = f"<{self._secret}-{len(self._hidden)}>"
        self._hidden[mark] = value
        return mark

    def restore(self, value: Any) -> Any:
        """Return a value with the texts in place of their marks."""
        if not self._hidden:
            return value
        if isinstance(value, Mapping):
            return {key: self.restore(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.restore(each) for each in value]
        if isinstance(value, str) and self._secret in value:
            return re.sub("|".join(self._hidden), lambda found: self._hidden[found[0]], value)
        return value
