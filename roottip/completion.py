"""Completion of commands, settings and paths by the shell's Tab key.

A script that holds all it needs, so that no key stroke has to wait for Python; made again after an
update, since settings may have been added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from roottip.settings import choices, keys, types_of

# readline cuts words at "=", zsh's bashcompinit does not, so the value may be the current word or
# a part of it
_SCRIPT = """\
# {how}
_roottip() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} key= value= cut=
    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 ]]; then
        COMPREPLY=($(compgen -W "{commands} --help --version --completion" -- "$word"))
        return
    fi
    if [[ $word == "=" ]]; then
        key=$before
    elif [[ $before == "=" ]]; then
        key=${{COMP_WORDS[COMP_CWORD - 2]}} value=$word
    elif [[ $word == *=* ]]; then
        key=${{word%%=*}} value=${{word#*=}} cut="$key="
    fi
    if [[ -z $key ]]; then
        local keys=
        case ${{COMP_WORDS[1]}} in
{keys}
        esac
        COMPREPLY=($(compgen -W "$keys" -- "$word"))
        [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace 2>/dev/null
        return
    fi
    case ${{COMP_WORDS[1]}}:$key in
{values}
        {paths})
            local IFS=$'\\n'
            compopt -o filenames 2>/dev/null
            COMPREPLY=($(compgen -P "$cut" -f -- "$value")) ;;
    esac
}}
complete -F _roottip roottip
"""

HOW = (
    "for bash: d=~/.local/share/bash-completion/completions; mkdir -p $d; "
    "roottip --completion > $d/roottip"
)


def script(commands: Mapping[str, Callable[..., int]]) -> str:
    """What bash has to run to complete ``roottip COMMAND key=value …``."""
    of_command, of_value, paths = [], [], set()
    for name, command in commands.items():
        settings = " ".join(f"{key}=" for key in keys(command))
        of_command.append(f'            {name}) keys="{settings} --help" ;;')
        values, kinds = choices(command), types_of(command)
        values |= {key: ["false", "true"] for key, own in kinds.items() if bool in own}
        # an image is named as in its dataset, which is mostly a file's name
        paths |= {f"*:{key}" for key, own in kinds.items() if Path in own or key == "image"}
        for key, known in values.items():
            reply = f'COMPREPLY=($(compgen -P "$cut" -W "{" ".join(known)}" -- "$value"))'
            of_value.append(f"        {name}:{key}) {reply} ;;")
    return _SCRIPT.format(
        how=HOW,
        commands=" ".join(commands),
        keys="\n".join(of_command),
        values="\n".join(of_value),
        paths="|".join(sorted(paths)),
    )
