"""Names for what can be handed in: data sets, kinds of models, recipes, re-rankers; users add theirs from outside."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, overload

from rsitr.errors import ConfigError, RsitrError

__all__ = ["Registry", "import_named", "lazy_names"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one sort by name.

    A name comes from `register`, in the package or in a user's own code, or from an installed package's entry point
    of the group `rsitr.<group>`. What is registered as text, `package.module:attribute`, is imported when it is first
    asked for, as an entry point is.

    Args:
        what: the sort, for messages: `recipe`.
        group: of entry points, `recipes`.
        error: the kind that is raised.
    """

    def __init__(self, what: str, *, group: str, error: type[RsitrError] = ConfigError) -> None:
        self.what, self.group, self.error = what, group, error
        self._things: dict[str, T | str] = {}

    @overload
    def register(self, name: str) -> Callable[[T], T]: ...
    @overload
    def register(self, name: str, thing: T | str) -> T | str: ...
    def register(self, name: str, thing: T | str | None = None) -> T | str | Callable[[T], T]:
        """Make a name known; without a thing, a decorator. Once more the same thing is fine.

        Raises:
            RsitrError: something else has that name.
        """
        if thing is None:
            return lambda own: cast("T", self.register(name, own))
        if self._things.setdefault(name, thing) != thing:
            raise self.error(f"there is a {self.what} {name!r} already: give yours another name")
        return thing

    def __getitem__(self, name: str) -> T:
        """What has this name; nothing that the name itself would have imported, so that files may hold names.

        Raises:
            RsitrError: nothing has it; the message lists what there is.
        """
        if name in self._things:  # without a look at what is installed, which takes its time
            thing = self._things[name]
        else:
            plugins = {own.name: own.value for own in self._plugins()}
            if name not in plugins:
                raise self.error(f"unknown {self.what} {name!r}: choose one of {', '.join(self)}")
            thing = plugins[name]
        return cast("T", import_named(thing, error=self.error)) if isinstance(thing, str) else thing

    def find(self, name: str) -> T:
        """As `registry[name]`, or what a name such as `package.module:attribute`, which a person typed, leads to."""
        if name not in self and ":" in name:
            return cast("T", import_named(name, error=self.error))
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._things or name in set(self)

    def __iter__(self) -> Iterator[str]:
        """The names, in the order in which they became known; those of installed packages last."""
        return iter(dict.fromkeys([*self._things, *(own.name for own in self._plugins())]))

    def _plugins(self) -> Any:
        from importlib.metadata import entry_points  # slow to import

        return entry_points(group=f"rsitr.{self.group}")


def import_named(reference: str, *, error: type[RsitrError] = ConfigError) -> Any:
    """Import `package.module:attribute`, or `package.module`; also from the current folder.

    Raises:
        RsitrError: there is no such module or attribute, or importing it fails.
    """
    module, _, attribute = reference.partition(":")
    folder = str(Path.cwd())
    if module.partition(".")[0] != __package__ and folder not in sys.path:
        sys.path.append(folder)  # last: no file there takes the place of an installed package
    try:
        found = import_module(module)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except Exception as caught:  # a user's module may raise anything
        raise error(f"cannot import {reference!r} ({type(caught).__name__}: {caught})") from caught
    return found


def lazy_names(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__` (PEP 562): what it exports is imported when it is first used.

    Args:
        package: its `__name__`.
        names: the module that holds each.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(names[name]), name)

    return get
