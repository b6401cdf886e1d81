"""Waiting on conditions with deadlines; nothing sleeps for luck."""
import time


def until(question, within_s=10, every_s=0.02, what=None):
    """Asks until the answer is truthy and returns it; an AssertionError that says `what` after the deadline."""
    deadline = time.monotonic() + within_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s} s: {what or question.__doc__ or question.__name__}")
        time.sleep(every_s)


def always(question, during_s, every_s=0.02, what=None):
    """Asks for a while; the answer must be truthy each time."""
    deadline = time.monotonic() + during_s
    while time.monotonic() < deadline:
        assert question(), f"held for less than {during_s} s: {what or question.__name__}"
        time.sleep(every_s)
