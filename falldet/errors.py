"""The exception for mistakes that the user can correct."""


class FalldetError(Exception):
    """A mistake in the input, a setting or the environment.

    The message is one sentence that names the value, the place and the cure. The tools print it without a traceback and
    exit with code 2.
    """
