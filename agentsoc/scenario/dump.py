"""This module writes plain data as YAML that `agentsoc.scenario.strict.parse` and every other reader read alike."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from agentsoc.scenario.plain import read_plain

_SAFE: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+-]+)*")


class _Dumper(yaml.SafeDumper):
    """Writes plain words only where `read_plain` reads them back as the same text."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True, so that no alias is written: every value stands where it is used."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _SAFE.fullmatch(text) is not None and read_plain(text) == (text, "", "")
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _represent_text)


def dump(data: Any) -> str:
    """Return mappings, lists, texts, numbers, truth values and null as YAML; a text that could mislead is quoted."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31)
