"""Configuration: strict YAML -> pydantic, one `base:` file underneath, `--set a.b=c` on top, resolved file saved.

A configuration is named by path, or by the name of a file in `configs/<stage>/` (`cpu` means
`configs/vocabulary/cpu.yaml`). Unknown keys are refused with the nearest valid name, so a typo cannot pass silently.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vqdna.errors import InputError, nearest_name_hint


class StrictModel(BaseModel):
    """A configuration section: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Config = TypeVar("Config", bound=BaseModel)

Values: TypeAlias = dict[str, Any]  # a mapping as YAML or JSON has it, before a model has checked it


def configs_folder() -> Path:
    """Folder of the configurations that come with the project: inside an installed package, else beside the sources."""
    packaged = Path(__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "configs"


def find_config(name: str, stage: str) -> Path:
    """Path of a configuration given by path or by its name among those of a stage (InputError: neither exists)."""
    if Path(name).is_file():
        return Path(name)
    folder = configs_folder() / stage
    known = sorted(path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("_"))
    if name not in known:
        raise InputError(
            f"no configuration '{name}' (a file, or one of {', '.join(known)}){nearest_name_hint(name, known)}"
        )
    return folder / f"{name}.yaml"


def load_config(kind: type[Config], name: str, stage: str, overrides: Sequence[str] = ()) -> Config:
    """Validated configuration from a file, the bases underneath it, and `a.b=c` overrides.

    An InputError tells of a missing file, a YAML fault, an unknown key or a value of the wrong type, with file and key.
    """
    path = find_config(name, stage)
    values = read_yaml(path)
    for override in overrides:
        values = merged(values, _parse_override(override))
    return validate(kind, values, str(path))


def validate(kind: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """`values` as a `kind`; the first fault becomes one line that names the key."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _keys_at(kind, [str(part) for part in fault["loc"][:-1]])
            hint = nearest_name_hint(str(fault["loc"][-1]), known)
            raise InputError(f"{where}: unknown key '{key}'{hint or '; known: ' + ', '.join(known)}") from None
        raise InputError(f"{where}: {key}: {fault['msg']} (got {fault['input']!r})") from None


def completed(kind: type[BaseModel], values: Mapping[str, Any]) -> Values:
    """Saved values with the defaults of keys that came later; as they are where they are no `kind` any more."""
    try:
        return kind.model_validate(values).model_dump(mode="json")
    except ValidationError:
        return dict(values)


def first_difference(held: Any, wanted: Any, key: str = "") -> str | None:
    """Dotted key of the first value that differs between two saved configurations, or None."""
    if isinstance(held, Mapping) and isinstance(wanted, Mapping):
        for name in dict.fromkeys([*held, *wanted]):
            found = first_difference(held.get(name), wanted.get(name), f"{key}.{name}" if key else str(name))
            if found:
                return found
        return None
    return None if held == wanted else key


def read_yaml(path: Path) -> Values:
    """Mapping in a YAML file with its `base:` (a file beside it) underneath."""
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not YAML ({getattr(error, 'problem', error)})") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected keys and values, got {type(values).__name__}")
    base = values.pop("base", None)
    return merged(read_yaml(path.parent / base), values) if base else values


def write_yaml(config: BaseModel) -> str:
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _parse_override(text: str) -> Values:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {text}: expected key=value, for example training.steps=100")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        raise InputError(f"--set {text}: the value is not YAML") from None
    for part in reversed(key.strip().split(".")):
        nested = {part: nested}
    return typing.cast(Values, nested)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Values:
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _keys_at(kind: type[BaseModel], location: Sequence[str]) -> list[str]:
    """Keys of the section that `location` leads to, as files have them."""
    current: Any = kind
    for part in location:
        if part.isdigit():  # an item of a list
            current = typing.get_args(current)[0]
            continue
        current = _fields(current)[part]
        if typing.get_origin(current) in (typing.Union, types.UnionType):
            current = next(option for option in typing.get_args(current) if option is not type(None))
    return sorted(_fields(current)) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _fields(kind: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
