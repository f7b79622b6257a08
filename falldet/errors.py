"""The one exception for a mistake that the user can mend."""


class FalldetError(Exception):
    """A mistake in the input, a setting or the surroundings, told in one sentence with its cure.

    The tools print it without a traceback and end with exit code 2. The message names the value, the place and what to
    do about it.
    """
