"""Whether a document has only fields of its kind, as a decoder tells it: in a third of the time of splitting it."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

# How many names of fields that are left out the test takes: apps add a few. Others are left out without it.
_MAX_EXTRA: Final = 16

Test = Callable[[bytes], Any]


class FittingTest:
    """A decoder that takes documents which stay as they are, and those of which known fields are left out.

    It refuses, and decides nothing. Apps add the same fields to each document, so it gets to know them: what it takes
    goes through `without_extra`. A race of two threads costs time, and changes nothing.

    Args:
        compiled: Makes the decoder, given the names of fields that are left out; None where there is none. It raises
            ValueError where a field has a name that msgspec takes for no struct: with a quote or a control character.
        never: Names that it never takes.

    Attributes:
        decode: The decoder, or None.
        has_extra: Whether there are fields that are left out; to be read after `decode`.
    """

    def __init__(self, compiled: Callable[[Collection[str]], Test | None], never: Iterable[str] = ()) -> None:
        self._compiled = compiled
        # Whether the test takes them.
        self._extra = dict.fromkeys(never, False)
        self.has_extra = False
        try:
            self.decode = compiled(())
        except ValueError:
            self.decode = None

    def learn(self, names: Collection[str]) -> bool:
        """Let the test take fields of these names, as far as it can. Whether it takes all of them."""
        if self.decode is None:
            return False
        for name in names:
            if name not in self._extra and len(self._extra) < _MAX_EXTRA:
                # Other threads may be here, too: whoever finds the new test finds that there is something to leave out.
                self.has_extra = True
                self._extra = {**self._extra, name: True}
                try:
                    self.decode = self._compiled([extra for extra, is_taken in self._extra.items() if is_taken])
                except ValueError:
                    self._extra = {**self._extra, name: False}
        return all(map(self._extra.get, names))
