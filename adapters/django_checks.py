"""The earlier name of `openai_middleware.adapters.django.checks`, for `INSTALLED_APPS`."""

from openai_middleware.adapters.django.checks import check_settings

__all__ = ["check_settings"]
