"""Names as the answers of `models.list` and `models.retrieve`."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from openai_middleware.errors import NotFoundError

OWNER: Final = "openai-middleware"


def is_names(value: Any) -> bool:
    """Whether a value is a list of names."""
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(name, str) for name in value)


def model_list(names: Iterable[str]) -> dict[str, Any]:
    """The list of models that some names are."""
    return {"object": "list", "data": [_model(name) for name in names]}


def model_of(name: Any, answer: Any) -> Any:
    """The one of a list of models that has a name.

    Args:
        name: The name.
        answer: What `models.list` is answered with: names, or OpenAI's list object.

    Raises:
        NotFoundError: There is none.
    """
    if is_names(answer) and name in answer:
        return _model(name)
    data = answer.get("data") if isinstance(answer, Mapping) else getattr(answer, "data", None)
    for model in data if isinstance(data, list) else ():
        identifier = model.get("id") if isinstance(model, Mapping) else getattr(model, "id", None)
        if identifier == name:
            return model
    raise unknown_model(name)


def unknown_model(name: Any) -> NotFoundError:
    """What a client gets that asks for a model which is not there."""
    return NotFoundError(f"The model '{name}' does not exist.", param="model", code="model_not_found")


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": OWNER}
