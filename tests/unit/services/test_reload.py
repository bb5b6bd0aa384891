"""Reloads come one at a time, and what is asked for meanwhile comes as one more."""

from __future__ import annotations

import threading

from syncer.demo.node import wait_until
from syncer.errors import ApplyError, CommandFailure
from syncer.services.reload import Reloader


class Slow:
    """A reload that lasts until it is let go."""

    def __init__(self) -> None:
        self.generations: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self.go = threading.Event()
        self.failure: CommandFailure | None = None

    def __call__(self, generation: int, term: int) -> CommandFailure | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.generations.append(generation)
        assert self.go.wait(20)
        self.at_once -= 1
        return self.failure


def test_requests_during_a_reload_become_one_more_for_the_latest() -> None:
    slow = Slow()
    done: list[int] = []
    reloader = Reloader("test", slow)
    reloader.request(1, 1, lambda: done.append(1))
    wait_until(lambda: slow.generations == [1], 10, "the first runs")
    for generation in range(2, 10):
        reloader.request(generation, 1, lambda generation=generation: done.append(generation))  # type: ignore[misc]
    slow.go.set()
    wait_until(lambda: done == [1, 9], 10, "both were done")
    reloader.close()
    assert (slow.generations, slow.most_at_once) == ([1, 9], 1)


def test_a_failure_is_shown_until_a_reload_goes_well() -> None:
    slow = Slow()
    slow.go.set()
    slow.failure = CommandFailure("systemctl reload nginx", "1", 0.1, "no")
    reloader = Reloader("test", slow)
    done = threading.Event()
    reloader.request(1, 1, done.set)
    assert done.wait(10)
    failures = [reloader.failure]
    slow.failure = None
    done.clear()
    reloader.request(2, 1, done.set)
    assert done.wait(10)
    failures.append(reloader.failure)
    assert failures == [CommandFailure("systemctl reload nginx", "1", 0.1, "no"), None]
    reloader.close()


def test_a_reload_that_the_end_of_the_agent_cut_off_is_not_counted_as_done() -> None:
    def stopping(generation: int, term: int) -> CommandFailure | None:
        raise ApplyError("the agent stops")

    done: list[int] = []
    reloader = Reloader("test", stopping)
    reloader.request(1, 1, lambda: done.append(1))
    reloader.close()
    reloader.request(2, 1, lambda: done.append(2))
    assert done == []
