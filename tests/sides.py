"""Both sides of a sentence: texts in which it has to stand, and texts of the same report in which it must not."""

from __future__ import annotations

from collections.abc import Mapping


def told_apart(sentences: Mapping[str, str | tuple[str, ...]], *others: str) -> None:
    """Assert that each sentence stands in its texts and in no other text that is given here.

    Args:
        sentences: the words of a sentence, and the text or texts in which they have to stand.
        others: more texts, in which none of them may stand.
    """
    own = {words: (texts,) if isinstance(texts, str) else tuple(texts) for words, texts in sentences.items()}
    every = [*dict.fromkeys([*(text for texts in own.values() for text in texts), *others])]
    for words, texts in own.items():
        absent = [text for text in every if text not in texts]
        assert texts, f"{words!r} has no text in which it stands"
        assert absent, f"{words!r} has no text in which it does not stand"
        for text in texts:
            assert words in text, f"{words!r} is missing in {text!r}"
        for text in absent:
            assert words not in text, f"{words!r} must not stand in {text!r}"
