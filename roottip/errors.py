"""The one kind of error that is the user's to mend."""


class InputError(ValueError):
    """What was given cannot be used: a path, a table, an image, a setting.

    The message is one sentence that says what is wrong, where, and what to do;
    the command line prints it as it is and exits with 2.
    """
