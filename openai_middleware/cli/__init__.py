"""The command line, `openai-middleware`. Needs the extra `cli`."""
