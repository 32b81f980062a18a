"""`python -m openai_middleware`, which is the command `openai-middleware` too."""

import sys


def main() -> None:
    """Run the command line; the exit status is that of the command."""
    try:
        from openai_middleware.cli.main import cli
    except ModuleNotFoundError as error:
        print(f"The command line needs {error.name}. Run: pip install 'openai-middleware[cli]'", file=sys.stderr)
        sys.exit(2)
    cli()


if __name__ == "__main__":
    main()
