import os
import signal
import threading

import pytest

from torch_geometric_dsom.trainer.stop_signal import SIGNALS, StopSignal


def press(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def handlers():
    return [signal.getsignal(number) for number in SIGNALS]


def test_outside_of_what_is_held_the_end_comes_at_once():
    before = handlers()
    with pytest.raises(KeyboardInterrupt, match="stopped"), StopSignal():  # noqa: PT012
        press()
        pytest.fail("went on")
    with pytest.raises(SystemExit) as end, StopSignal():
        press(signal.SIGTERM)
    assert end.value.code == 143
    assert handlers() == before


def test_what_is_held_comes_to_its_end_unless_it_is_released():
    done = []
    with pytest.raises(KeyboardInterrupt), StopSignal() as stop, stop.held():  # noqa: PT012
        press()
        done.append("all of it")
    with pytest.raises(KeyboardInterrupt), StopSignal() as stop, stop.held(), stop.released():  # noqa: PT012
        done.append("released")
        press()
        done.append("never")
    with pytest.raises(KeyboardInterrupt), StopSignal() as stop, stop.held():  # noqa: PT012
        press()
        assert stop.asked == signal.SIGINT
        with stop.released():  # it was asked before
            done.append("never")
    assert done == ["all of it", "released"]


def test_the_second_signal_does_not_wait():
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(KeyboardInterrupt), StopSignal() as stop, stop.held():  # noqa: PT012
            press()
            assert heard == []
            press()
            assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_inside_is_not_hidden():
    with pytest.raises(ValueError, match="mine"), StopSignal() as stop, stop.held():  # noqa: PT012
        press()
        raise ValueError("mine")


def test_another_thread_hears_nothing():
    before, found = handlers(), []

    def run():
        with StopSignal() as stop, stop.held():
            found.append(handlers())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]
