"""The one exception whose text is meant for the user."""


class CodewattError(Exception):
    """Bad input or a broken promise that the user can act on.

    The message is one line: what is wrong, where, and what is allowed.
    The command line and the workflow's scripts print it without a traceback.
    """
