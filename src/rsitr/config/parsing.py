"""What a config is made of, and how plain values become one: an unknown key or a wrong type is an error in one line."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from rsitr.errors import ConfigError

__all__ = ["Listed", "Settings", "from_keys", "parse", "require"]

T = TypeVar("T")
Place = Sequence[str | int]

Listed = Annotated[tuple[T, ...], Field(strict=False, min_length=1)]
"""A list in YAML, of at least one."""

BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
BOUNDED = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")

# What a person is told, by pydantic's name of the mistake: about a key, and about a value.
KEYS = {"extra_forbidden": "unknown key {key!r}; it may have {known}", "missing": "{key!r} is missing"}
VALUES = {
    "model_type": "{place}: expected keys and values, found {value!r}",
    "dataclass_type": "{place}: expected keys and values, found {value!r}",
    "dataclass_exact_type": "{place}: expected keys and values, found {value!r}",
    "dict_type": "{place} must be keys and values, not {value!r}",
    "tuple_type": "{place} must be a list of at least one, not {value!r}",
    "too_short": "{place} must be a list of at least one, not {value!r}",
    "literal_error": "{place} is {value!r}; it may be {choices}",
    **{
        f"{long}_type": f"{{place}} must be {short}, not {{value!r}}"
        for long, short in (("int", "int"), ("float", "float"), ("string", "str"), ("bool", "bool"))
    },
}


class Settings(BaseModel):
    """Base of a config and of its sections: frozen, every key known, every type exactly as it is said.

    What a field is for stands below it, as its docstring; `model_fields[NAME].description` has it.

    Raises:
        ConfigError: a key or a value is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            _refuse(error, type(self), where="")

    # Says that this is pydantic's own way to make one: a section within a config is then checked without it, so that
    # what is raised knows its place in the whole.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def replace(self, **changes: Any) -> Self:
        """The same with some fields changed, and checked again.

        Raises:
            ConfigError: the result makes no sense.
        """
        return type(self)(**{**dict(self), **changes})


def require(holds: bool, message: str) -> None:
    """For what the fields of a section must fulfil together: raises what a validator of pydantic may raise."""
    if not holds:
        raise ValueError(message)


def parse(kind: type[T], raw: Any, *, where: str) -> T:
    """Build settings, or a frozen dataclass of plain values, from parsed YAML, checking keys and types.

    Raises:
        ConfigError: naming the place, what is there, and what may be.
    """
    shape = kind if issubclass(kind, Settings) else _shape(kind)
    try:
        checked = shape.model_validate(raw)
    except ValidationError as error:
        _refuse(error, shape, where=where)
    if isinstance(checked, kind):
        return checked
    try:
        return kind(**dict(checked))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _shape(kind: type[Any]) -> type[Settings]:
    """The fields of a dataclass as settings, to check plain values by."""
    hints = typing.get_type_hints(kind)
    fields: dict[str, Any] = {}
    for entry in dataclasses.fields(kind):
        default = entry.default if entry.default is not dataclasses.MISSING else ...
        if entry.default_factory is not dataclasses.MISSING:
            default = Field(default_factory=cast("Any", entry.default_factory))
        fields[entry.name] = (hints[entry.name], default)
    return create_model(kind.__name__, __base__=Settings, **fields)


def from_keys(kind: type[Any]) -> BeforeValidator:
    """For a field that holds a dataclass of another room: keys and values become one, as strictly as a section."""

    def read(value: Any) -> Any:
        return kind(**dict(_shape(kind).model_validate(value))) if isinstance(value, dict) else value

    return BeforeValidator(read)


def _refuse(error: ValidationError, kind: type[Settings], *, where: str) -> NoReturn:
    """Raise the first mistake as one line; before all others what isn't known, then what is missing."""
    order = {"extra_forbidden": 0, "missing": 1}
    found = min(error.errors(), key=lambda entry: order.get(entry["type"], 2))
    raise ConfigError(_explain(found, kind, where=where)) from error


def _explain(found: ErrorDetails, kind: type[Settings], *, where: str) -> str:
    path, value, about = found["loc"], found["input"], found.get("ctx", {})
    if found["type"] in KEYS:
        known = ", ".join(_fields(kind, path[:-1]))
        return _join(_name([where], path[:-1]), KEYS[found["type"]].format(key=path[-1], known=known))
    place = _name([where], path)
    if found["type"] == "value_error":
        return _join(place, str(about["error"]))
    if found["type"] in BOUNDED:
        return f"{place} must be {_expected(kind, path)}, not {value!r}"
    choices = ", ".join(re.findall(r"'([^']*)'", str(about.get("expected", ""))))
    said = VALUES.get(found["type"], f"{{place}}: {found['msg']}, not {{value!r}}")
    hint = " (YAML wants a point in it: 1.0e-3)" if found["type"] == "float_type" and isinstance(value, str) else ""
    return said.format(place=place, value=list(value) if isinstance(value, tuple) else value, choices=choices) + hint


def _join(place: str, said: str) -> str:
    return f"{place}: {said}" if place else said


def _name(start: Sequence[str], path: Place) -> str:
    """`mine.yaml: phases[0]: lr`."""
    parts = [part for part in start if part]
    for part in path:
        if isinstance(part, int) and parts:
            parts[-1] += f"[{part}]"
        else:
            parts.append(str(part))
    return ": ".join(parts)


def _fields(kind: type[Any], path: Place) -> list[str]:
    """The keys of the section at this place."""
    section = _section(kind, path)
    if dataclasses.is_dataclass(section):
        return [entry.name for entry in dataclasses.fields(section)]
    return list(cast("type[Settings]", section).model_fields)


def _section(kind: type[Any], path: Place) -> type[Any]:
    for part in path:
        if isinstance(part, str):
            kind = _inner(kind.model_fields[part].annotation)
    return kind


def _inner(hint: Any) -> type[Any]:
    """The section that a field holds, or holds a list of."""
    found = [hint] if isinstance(hint, type) and not typing.get_args(hint) else []
    found += [_inner(part) for part in typing.get_args(hint) if part is not Ellipsis]
    return next((part for part in found if part is not type(None)), object)


def _expected(kind: type[Any], path: Place) -> str:
    """`above 0 and at most 1`, as the field's bounds are."""
    section = _section(kind, path[:-1])
    field = section.model_fields[str(path[-1])]
    bounds = [
        f"{words} {getattr(bound, name):g}"
        for bound in field.metadata
        for name, words in BOUNDS.items()
        if hasattr(bound, name)
    ]
    return " and ".join(bounds) + (", or null" if type(None) in typing.get_args(field.annotation) else "")
