"""The names of the groups of operations."""

from enum import StrEnum

__all__ = ["OpenAIEndpoint"]


class OpenAIEndpoint(StrEnum):
    """The groups of operations that are switched on together: the SDK's resources."""

    AUDIO = "audio"
    BATCHES = "batches"
    CHAT_COMPLETIONS = "chat_completions"
    COMPLETIONS = "completions"
    CONTAINERS = "containers"
    CONTENT_PROVENANCE_CHECKS = "content_provenance_checks"
    CONVERSATIONS = "conversations"
    DECISIONS = "decisions"
    EMBEDDINGS = "embeddings"
    EVALS = "evals"
    FILES = "files"
    FINE_TUNING = "fine_tuning"
    IMAGES = "images"
    LIVE = "live"
    MODELS = "models"
    MODERATIONS = "moderations"
    REALTIME = "realtime"
    RESPONSES = "responses"
    SAFETY = "safety"
    SKILLS = "skills"
    UPLOADS = "uploads"
    VECTOR_STORES = "vector_stores"
    VIDEOS = "videos"
    WEBHOOKS = "webhooks"
