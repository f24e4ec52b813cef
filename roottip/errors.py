"""What is the user's to mend: the one kind of error, and what it is often about."""

from typing import TypeGuard


class InputError(ValueError):
    """What was given cannot be used: a path, a table, an image, a setting.

    The message is one sentence that says what is wrong, where, and what to do;
    the command line prints it as it is and exits with 2.
    """


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a setting is a number; True and False, which Python counts as such, are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
