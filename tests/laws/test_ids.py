"""Request ids: unique, ascending, and safe wherever they are written."""

import re

from towplane.parts.ids import RequestIds


def test_ids_of_one_worker_ascend_and_differ() -> None:
    ids = RequestIds()
    made = [ids.next() for _ in range(70_000)]
    assert made == sorted(set(made))


def test_an_id_needs_no_quoting_in_a_url_a_header_or_json() -> None:
    assert re.fullmatch(r"[0-9a-z]{26}", RequestIds().next())


def test_workers_that_start_in_the_same_millisecond_differ() -> None:
    prefixes = {RequestIds(now=1_795_435_200.0).prefix for _ in range(200)}
    assert len(prefixes) == 200


def test_a_later_start_has_a_later_prefix() -> None:
    starts = [1_000.0, 1_795_435_200.0, 1_795_435_200.001, 4_000_000_000.0]
    prefixes = [RequestIds(now=now).prefix for now in starts]
    assert prefixes == sorted(prefixes)
