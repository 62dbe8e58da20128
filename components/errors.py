"""The one exception that means "the user or the data made a mistake", shown as a paragraph and never as a traceback."""


class UserError(Exception):
    """Says what is wrong, where, and what to do about it, in one paragraph.

    The runner prints the message as it is and exits with code 2.
    """
