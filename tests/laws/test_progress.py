"""Forward progress: who runs and brings no token is stalled, whatever its health says."""

from towplane.routing.progress import Progress


def test_two_streams_that_wait_without_a_token_are_a_stall() -> None:
    progress = Progress(0.0)
    progress.look(10.0, done=5, token_at=9.0)
    assert progress.stalled_s(60.0, 60.0, [5.0, 5.0]) == 0.0
    assert progress.stalled_s(70.0, 60.0, [5.0, 9.0]) == 60.0


def test_one_stream_alone_may_be_a_long_prompt() -> None:
    assert Progress(0.0).stalled_s(100.0, 60.0, [5.0]) == 0.0


def test_streams_sent_lately_are_no_witnesses() -> None:
    assert Progress(0.0).stalled_s(100.0, 60.0, [5.0, 50.0, 60.0]) == 0.0


def test_a_token_or_an_answer_of_any_attempt_is_progress() -> None:
    for done, token_at in ((1, 0.0), (0, 50.0)):
        progress = Progress(0.0)
        progress.look(50.0, done=done, token_at=token_at)
        assert progress.stalled_s(100.0, 60.0, [5.0, 5.0]) == 0.0
        assert progress.stalled_s(110.0, 60.0, [5.0, 5.0]) == 60.0


def test_a_heartbeat_that_stands_still_while_requests_run_is_a_stall() -> None:
    progress = Progress(0.0)
    progress.hear(10.0, beat=7.0, running=1)
    progress.hear(40.0, beat=7.0, running=1)
    assert progress.stalled_s(69.0, 60.0, []) == 0.0
    assert progress.stalled_s(70.0, 60.0, []) == 60.0
    progress.hear(71.0, beat=8.0, running=1)
    assert progress.stalled_s(71.0, 60.0, []) == 0.0


def test_an_idle_engine_and_one_that_says_nothing_are_not_stalled() -> None:
    progress = Progress(0.0)
    progress.hear(10.0, beat=7.0, running=0)
    progress.hear(100.0, beat=7.0, running=0)
    assert progress.stalled_s(100.0, 60.0, []) == 0.0
    assert Progress(0.0).stalled_s(100.0, 60.0, []) == 0.0
