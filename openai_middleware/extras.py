"""What needs more packages than the core: a missing one is named with the line that installs it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Say what to install, where an import in this block fails for a package that is not there.

    Args:
        extra: The extra of this package that brings it.

    Raises:
        ModuleNotFoundError: With that.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __package__:
            raise
        message = f"{error.name!r} is not installed. Install it with: pip install 'openai-middleware[{extra}]'"
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from error
