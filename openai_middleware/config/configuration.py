"""What all parts of a configuration have in common."""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any, Final, Literal, Self, TypeVar, dataclass_transform

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, reported_mistakes

# A rule in the mappings of an endpoint is six levels down.
_DEEPEST: Final = 32

Class = TypeVar("Class", bound=type)


class Configuration:
    """A part of a configuration: strict fields, and a dictionary form."""

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON values; what is None is left out.

        Raises:
            ConfigurationError: There is a function in it, which has no such form.
        """
        try:
            return self._dumped("json")
        except ValueError as error:  # pydantic wraps what a serializer raises
            if isinstance(error.__cause__, ConfigurationError):
                raise error.__cause__ from None
            raise

    def copy(self, *, context: Mapping[str, Any] | None = None) -> Self:
        """An equal configuration of its own, checked once more.

        Args:
            context: What validators of the class know beside it.

        Raises:
            ConfigurationError: With every mistake in it.
        """
        return self.from_dict(self._dumped("python"), context=context)

    def _dumped(self, mode: Literal["json", "python"]) -> dict[str, Any]:
        adapter = TypeAdapter(type(self))
        struct: dict[str, Any] = adapter.dump_python(self, mode=mode, exclude_none=True, warnings=False, by_alias=True)
        return struct

    @classmethod
    def from_dict(cls, struct: Mapping[str, Any] | None = None, *, context: Mapping[str, Any] | None = None) -> Self:
        """The configuration that `to_dict` wrote; None is an empty dictionary.

        Args:
            struct: The dictionary.
            context: What validators of the class know beside it.

        Raises:
            ConfigurationError: With every mistake in the dictionary.
        """
        with reported_mistakes():
            return TypeAdapter(cls).validate_python({} if struct is None else plain(struct), context=context)


@dataclass_transform()
def configuration(cls: Class) -> Class:
    """Make a class of a configuration's fields, each written once; its constructor raises ConfigurationError."""
    made: Any = dataclass(config=ConfigDict(extra="forbid"))(cls)
    construct: Callable[..., None] = made.__init__
    names = list(signature(made).parameters)

    @wraps(construct)
    def construct_checked(self: object, /, *args: Any, **fields: Any) -> None:
        if len(args) > len(names):
            raise TypeError(f"{cls.__name__} takes {len(names)} arguments, and got {len(args)}.")
        with reported_mistakes():
            # By their names, which is how mistakes in them are told.
            construct(self, **plain(dict(zip(names, args, strict=False))), **plain(fields))

    made.__init__ = construct_checked
    return made  # type: ignore[no-any-return]


def plain(struct: Any) -> Any:
    """A structure with keys that are str: as YAML has them, others are unknown fields like any other.

    What stands in several places, as an alias of YAML does, is one object in the result, too.

    Raises:
        ConfigurationError: It is nested more deeply than any configuration, or holds itself.
    """
    return _plain(struct, _DEEPEST, {})


def _plain(struct: Any, levels: int, made: dict[int, Any]) -> Any:
    if not isinstance(struct, Mapping | list | tuple):
        return struct
    if levels == 0:
        hint = f"Write no more than {_DEEPEST} levels, and nothing that holds itself."
        raise ConfigurationError(ConfigurationMistake("nested_too_deeply", "This is no configuration.", struct, hint))
    if id(struct) not in made:
        if isinstance(struct, Mapping):
            made[id(struct)] = {str(key): _plain(value, levels - 1, made) for key, value in struct.items()}
        else:
            made[id(struct)] = [_plain(value, levels - 1, made) for value in struct]
    return made[id(struct)]
