"""This module tells by the name of an environment variable whether its value is a secret."""

from __future__ import annotations

import re
from typing import Final

_SECRET_NAME: Final = re.compile(
    r"api[_-]?key|access[_-]?key|private[_-]?key|secret|token|passw(or)?d|credential|_key$", re.IGNORECASE
)
_NOT_SECRET_NAME: Final = re.compile(
    r"(_path|_file|_dir|_url|_mode|_env|_tokens|tokenizers_parallelism)$", re.IGNORECASE
)


def is_secret_name(name: str) -> bool:
    """Tell whether an environment variable of this name holds a secret, judged by the name alone."""
    return bool(_SECRET_NAME.search(name)) and not _NOT_SECRET_NAME.search(name)
