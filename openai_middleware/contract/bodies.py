"""The bodies of common operations, for editors and type checkers. Written by: make contract

Named as the SDK names the operation: a function for `chat.completions.create` gets a `ChatCompletionsCreateBody`. They
say what the API has, on the top level; only mandatory fields are checked to be there, and no type is. Nothing in the
package imports them.
"""

from typing import Any, Required, TypedDict

__all__ = [
    "AudioSpeechCreateBody",
    "ChatCompletionsCreateBody",
    "CompletionsCreateBody",
    "EmbeddingsCreateBody",
    "ImagesGenerateBody",
    "ModerationsCreateBody",
    "ResponsesCreateBody",
]


class AudioSpeechCreateBody(TypedDict, total=False):
    """The body of `audio.speech.create`."""

    input: Required[str]
    model: Required[str]
    voice: Required[dict[str, Any] | str]
    instructions: str
    response_format: str
    speed: float
    stream_format: str


class ChatCompletionsCreateBody(TypedDict, total=False):
    """The body of `chat.completions.create`."""

    messages: Required[list[dict[str, Any]]]
    model: Required[str]
    audio: dict[str, Any] | None
    frequency_penalty: float | None
    function_call: dict[str, Any] | str
    functions: list[dict[str, Any]]
    logit_bias: dict[str, Any] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    metadata: dict[str, Any] | None
    modalities: list[str] | None
    moderation: dict[str, Any] | None
    n: int | None
    parallel_tool_calls: bool
    prediction: dict[str, Any] | None
    presence_penalty: float | None
    prompt_cache_key: str | None
    prompt_cache_options: dict[str, Any]
    prompt_cache_retention: str | None
    reasoning_effort: str | None
    response_format: dict[str, Any]
    safety_identifier: str | None
    seed: int | None
    service_tier: str | None
    stop: list[str] | str | None
    store: bool | None
    stream: bool | None
    stream_options: dict[str, Any] | None
    temperature: float | None
    tool_choice: dict[str, Any] | str
    tools: list[dict[str, Any]]
    top_logprobs: int | None
    top_p: float | None
    user: str
    verbosity: str | None
    web_search_options: dict[str, Any]


class CompletionsCreateBody(TypedDict, total=False):
    """The body of `completions.create`."""

    model: Required[str]
    prompt: Required[list[int] | list[list[int]] | list[str] | str | None]
    best_of: int | None
    echo: bool | None
    frequency_penalty: float | None
    logit_bias: dict[str, Any] | None
    logprobs: int | None
    max_tokens: int | None
    n: int | None
    presence_penalty: float | None
    seed: int | None
    stop: list[str] | str | None
    stream: bool | None
    stream_options: dict[str, Any] | None
    suffix: str | None
    temperature: float | None
    top_p: float | None
    user: str


class EmbeddingsCreateBody(TypedDict, total=False):
    """The body of `embeddings.create`."""

    input: Required[list[int] | list[list[int]] | list[str] | str]
    model: Required[str]
    dimensions: int
    encoding_format: str
    user: str


class ImagesGenerateBody(TypedDict, total=False):
    """The body of `images.generate`."""

    prompt: Required[str]
    background: str | None
    complexity: str | None
    frame_count: int | None
    frame_duration_ms: int | None
    model: str | None
    moderation: str | None
    n: int | None
    output_compression: int | None
    output_format: str | None
    partial_images: int | None
    quality: str | None
    response_format: str | None
    safety_identifier: str | None
    size: str | None
    stream: bool | None
    style: str | None
    svg: dict[str, Any] | None
    user: str


class ModerationsCreateBody(TypedDict, total=False):
    """The body of `moderations.create`."""

    input: Required[list[dict[str, Any]] | list[str] | str]
    model: str


class ResponsesCreateBody(TypedDict, total=False):
    """The body of `responses.create`."""

    access_programs: dict[str, Any]
    background: bool | None
    background_options: dict[str, Any]
    context_management: list[dict[str, Any]] | None
    conversation: dict[str, Any] | str | None
    frequency_penalty: Any
    image: dict[str, Any]
    include: list[str] | None
    input: list[dict[str, Any]] | str
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, Any] | None
    model: str
    moderation: dict[str, Any] | None
    parallel_tool_calls: bool | None
    presence_penalty: Any
    previous_response_id: str | None
    prompt: dict[str, Any] | None
    prompt_cache_key: str | None
    prompt_cache_options: dict[str, Any]
    prompt_cache_retention: str | None
    reasoning: dict[str, Any] | None
    safety_identifier: str | None
    service_tier: str | None
    store: bool | None
    stream: bool | None
    stream_options: dict[str, Any] | None
    temperature: float | None
    text: dict[str, Any]
    tool_choice: dict[str, Any] | str
    tools: list[dict[str, Any]]
    top_logprobs: int | None
    top_p: float | None
    truncation: str | None
    user: str
