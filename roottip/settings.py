"""Settings of a command as words: ``key=value …`` over the defaults in its config file.

The only file that imports Hydra. Values of path keys, and of those that name what somebody else
named, never pass through Hydra's grammar, so a path is what the shell handed over: spaces, commas,
brackets and equals signs included.
"""

from __future__ import annotations

import itertools
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from roottip.errors import InputError, alike, is_number

_IN_GROUPS: dict[str, Any] = {"detector.weights": Path | None, "detector.sizes": Sequence[float]}
"""Types of settings in groups, which no signature names: where Hydra must not read, or of lists."""


def types_of(command: Callable[..., int]) -> dict[str, set[Any]]:
    """The types that a value of each key may have, as the command's signature says.

    A list's members count besides the list.
    """
    kinds = {}
    for key, hint in (typing.get_type_hints(command) | _IN_GROUPS).items():
        own = {*typing.get_args(hint)} if isinstance(hint, types.UnionType) else {hint}
        kinds[key] = own | {m for kind in own if _is_list(kind) for m in typing.get_args(kind)}
    return kinds


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) is Sequence


def read_settings(command: Callable[..., int], words: Sequence[str]) -> dict[str, Any]:
    """The arguments of a command: its config file with the given ``key=value`` words applied.

    Raises
    ------
    InputError
        A word is no ``key=value``, a key or a choice is unknown, a value has the wrong type,
        or something needed is missing, such as the current folder.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        Path.cwd()  # Hydra asks for it
    except FileNotFoundError as error:
        raise InputError("the current folder has been removed; go to another one") from error
    name, kinds = command.__name__, types_of(command)
    verbatim: dict[str, list[str]] = {}
    others: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
            raise InputError(
                f"{word!r} is no setting; write key=value, as in {_example(name)} "
                f"(see roottip {name} --help)"
            )
        own = kinds.get(key, set())
        _check_form(key, value, own)
        if own & {Path, str}:  # somebody's own words: Hydra would read 1.10 as a number
            verbatim.setdefault(key, []).append(value)
        else:
            others[key] = value

    members = choices(command)
    groups = {key: value for key, value in others.items() if key in members}
    for key, value in groups.items():
        if value not in members[key]:
            raise InputError(
                f"{key}={value}: there is no such {key}{near(value, members[key])}; "
                f"there is {', '.join(members[key])}"
            )
    chosen = [f"{key}={value}" for key, value in groups.items()]
    with initialize_config_dir(str(_conf()), version_base="1.3"):
        try:
            defaults = OmegaConf.to_container(compose(name, chosen))
            known = _keys(defaults)
            for key in [*verbatim, *others]:
                if key not in known:
                    raise InputError(
                        f"{key} is no setting of {name}{near(key, known)}; "
                        f"see roottip {name} --help"
                    )
            rest = [f"{key}={value}" for key, value in others.items() if key not in groups]
            config = OmegaConf.to_container(compose(name, [*chosen, *rest]), resolve=True)
        except (HydraException, OmegaConfBaseException) as error:
            said = str(error).splitlines()[0]
            raise InputError(
                f"{' '.join(f'{key}={value}' for key, value in others.items())}: {said}"
            ) from error
    assert isinstance(config, dict)
    settings: dict[str, Any] = {str(key): value for key, value in config.items()}
    for key, given in verbatim.items():
        if key == "input":
            _check_input(name, given)
        *groups_above, last = key.split(".")
        inner = settings
        for group in groups_above:
            inner = inner[group]
        path = given[0] if len(given) == 1 else given
        if path == "null" and inner[last] is None:
            continue
        # what is in a group has no type in the signature
        inner[last] = str(_fitted(key, path, Path)) if groups_above else path
    hints = typing.get_type_hints(command)
    for key, value in settings.items():
        if value == "???":
            raise InputError(f"{name} needs {key}=…, as in {_example(name)}")
        settings[key] = _fitted(key, value, hints[key])
    return settings


def _check_form(key: str, value: str, kinds: set[Any]) -> None:
    """Refuse what people write and Hydra would complain of in its own words."""
    if "," not in value or value.startswith("["):
        return
    numbers = re.fullmatch(r"-?[\d.]+(,-?[\d.]+)+", value) is not None
    listed = any(map(_is_list, kinds)) and Path not in kinds
    if not (listed or kinds & {Path, str}) and numbers and value.count(",") == 1:
        point = value.replace(",", ".")
        raise InputError(f"{key}={value}: write numbers with a point, as in {key}={point}")
    # a net's file may be called so
    if listed and (numbers or not (key == "detectors" and _exists(value))):
        raise _unbracketed(key, value)


def _check_input(command: str, given: list[str]) -> None:
    """Refuse several inputs, in the two ways in which other keys take several values."""
    if len(given) > 1 or (re.fullmatch(r"\[.*,.*\]", given[0]) and not _exists(given[0])):
        what = "a folder, a pattern or a list file" if command == "detect" else "a file or a folder"
        raise InputError(
            f"{' '.join(f'input={value}' for value in given)}: give input= once: {what}"
        )


def _unbracketed(key: str, value: str) -> InputError:
    return InputError(
        f"{key}={value}: write a list in brackets, the whole in quotes: '{key}=[{value}]'"
    )


def resource(name: str) -> Path:
    """A file or folder that ships with the package: inside it, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / name
    return packaged if packaged.exists() else package.parent / name


def choices(command: Callable[..., int]) -> dict[str, list[str]]:
    """What can be chosen by ``key=NAME``, as in ``detector=cnn``, by key."""
    groups = [key for key in typing.get_type_hints(command) if (_conf() / key).is_dir()]
    return {key: sorted(path.stem for path in (_conf() / key).glob("*.yaml")) for key in groups}


def keys(command: Callable[..., int]) -> list[str]:
    """Every key that a command knows, whatever is chosen: ``input``, …, ``detector.weights``."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    members = choices(command)
    found: dict[str, None] = {}
    with initialize_config_dir(str(_conf()), version_base="1.3"):
        for chosen in itertools.product(*members.values()):
            words = [f"{key}={member}" for key, member in zip(members, chosen, strict=True)]
            config = OmegaConf.to_container(compose(command.__name__, words))
            found |= dict.fromkeys(_keys(config))
    sections = {key.rpartition(".")[0] for key in found} - members.keys()
    # a name is chosen by its group's key
    return [key for key in found if key not in sections and not key.endswith(".name")]


def _conf() -> Path:
    return resource("conf")


def _keys(config: Any, prefix: str = "") -> list[str]:
    keys = []
    for key, value in config.items():
        keys.append(f"{prefix}{key}")
        if isinstance(value, dict):
            keys.extend(_keys(value, f"{prefix}{key}."))
    return keys


def _fitted(key: str, value: Any, hint: Any) -> Any:
    """The value as the type that the command's signature names."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = next(kind for kind in kinds if kind is not type(None))
    if typing.get_origin(kind) is dict and isinstance(value, dict):
        return value
    if typing.get_origin(kind) is not None and isinstance(value, str | list) and value != "":
        (member,) = typing.get_args(kind)
        values = [value] if isinstance(value, str) else value
        only = values[0] if len(values) == 1 else None
        if isinstance(only, str) and re.fullmatch(r"\[.*\]", only) and not _exists(only):
            values = [part.strip() for part in only[1:-1].split(",")]
        # a folder may be called so
        elif member is Path and only and "," in only and not _exists(_at_home(only)):
            raise _unbracketed(key, only)
        if values in ([], [""]):
            raise InputError(f"{key}=[]: the list is empty; give at least one")
        return [_fitted(key, item, member) for item in values]
    if kind is Path and str in kinds and "://" in str(value):
        return str(value)  # an address: a Path would make one slash of the two
    if kind is Path and isinstance(value, str | Path) and str(value):
        return Path(_at_home(str(value)))
    if kind is str and isinstance(value, str | int | float):
        return _at_home(str(value)) if key == "detectors" else str(value)
    if kind is float and is_number(value):
        return float(value)
    if kind in (bool, int) and type(value) is kind:
        return value
    wanted = {Path: "a path", str: "a word", float: "a number", int: "a whole number"}
    wanted[bool] = "true or false"
    raise InputError(f"{key}={value}: must be {wanted.get(kind, 'a list, as in [a,b]')}")


def _exists(path: str) -> bool:
    """Whether a file or folder is called so; Path.exists raises where no name may be so long."""
    return os.path.exists(path)  # noqa: PTH110


def _at_home(path: str) -> str:
    """The path with ~/ as the home folder, which shells put in only where a word begins so."""
    return str(Path(path).expanduser()) if path.startswith("~/") else path


def teach(command: Callable[..., int]) -> str:
    """What ``--help`` says of a command: its config file, which explains itself."""
    name = command.__name__
    text = (_conf() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    body = text[len(_header(name)) :]
    parts = [*_header(name), "", "Settings, with what they are if you say nothing:", *body]
    for group, members in choices(command).items():
        for member in members:
            path = _conf() / group / f"{member}.yaml"
            lines = path.read_text(encoding="utf-8").splitlines()
            shown = [f"  {line}" for line in lines if line and not line.startswith("name:")]
            parts += ["", f"Settings of {group}={member}, as in {group}.KEY=VALUE:", *shown]
    return "\n".join(line for line in parts if not line.lstrip().startswith(("defaults:", "- ")))


def near(word: str, known: Iterable[str]) -> str:
    """Suggest ("did you mean …?") the known word that the given one is like."""
    close = alike(word, known)
    return f", did you mean {close}?" if close else ""


def _header(command: str) -> list[str]:
    """The comment lines at the top of a command's config file."""
    lines = (_conf() / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    top = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return [line.removeprefix("#").removeprefix(" ") for line in lines[:top]]


def _example(command: str) -> str:
    return _header(command)[0]
