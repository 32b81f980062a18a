"""Django: a middleware for `MIDDLEWARE`, a decorator for views, and checks of the settings."""

from openai_middleware.extras import needs_extra

with needs_extra("django"):
    from openai_middleware.adapters.django.middleware import OpenAIMiddleware
    from openai_middleware.adapters.django.responses import openai_error_response
    from openai_middleware.adapters.django.views import openai_view

__all__ = ["OpenAIMiddleware", "openai_error_response", "openai_view"]
