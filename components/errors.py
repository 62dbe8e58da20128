"""The exception for errors in input, data or options. Programs show its message, never a traceback."""


class UserError(Exception):
    """An error that the user can fix. Programs print its message and exit with code 2.

    The message is one paragraph: what is wrong and where, what to do, and the value that was received.
    """
