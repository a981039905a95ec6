"""What ends the broker in a turn."""


class BrokenTurn(BaseException):
    """Something was raised behind the commit of a turn, which is not to be tried again. The next broker finds what it
    has stored, and tells it.
    """
