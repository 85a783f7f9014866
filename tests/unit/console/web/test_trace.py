"""The waterfall of a trace."""

from console.web.trace import WIDTH, waterfall


def hop(stage, milliseconds, task="t1", **changes):
    time = f"2026-11-24T00:00:00.{milliseconds:03}Z" if milliseconds is not None else None
    return {
        "stage": stage, "time": time, "process": "p", "region": "eu10" if task else "", "task_id": task,
        "kind": "UNLINK_KEY" if task else "",
        "resource": "tenants/acme", "lane": 0, "generation": 1, "decision_id": "", "outcome": "", "message": "",
        "path": "",
    } | changes  # fmt: skip


def test_each_task_is_a_row_whose_bars_end_where_its_stages_do():
    hops = [hop("desired", 0, task=""), hop("task", 100), hop("dispatch", 200), hop("execute", 400), hop("report", 500)]
    (own, lane), span = waterfall(hops)
    assert (own.kind, own.region, own.pending) == ("", "", "")
    assert span == 0.5
    assert [(bar.stage, bar.x, bar.x + bar.width) for bar in lane.bars[1:]] == [
        ("dispatch", 200.0, 400.0), ("execute", 400.0, 800.0), ("report", 800.0, WIDTH)
    ]  # fmt: skip
    assert (lane.took, lane.pending) == ("400 ms", "")


def test_what_is_not_heard_of_comes_first_and_is_named():
    slow = [hop("task", 0), hop("report", 900)]
    away = [hop("task", 0, "t2", region="us20"), hop("dispatch", 10, "t2", region="us20")]
    lanes, _span = waterfall([*slow, *away])
    assert [(lane.region, lane.pending) for lane in lanes] == [("us20", "receive"), ("eu10", "")]


def test_every_path_that_it_came_by_is_told_once_with_its_delay():
    again = {"outcome": "duplicate"}
    hops = [
        hop("task", 0), hop("receive", 1, path="mqtt"), hop("receive", 2, path="stream", **again),
        hop("receive", 3, path="mqtt", **again), hop("execute", 9),
    ]  # fmt: skip
    (lane,), _span = waterfall(hops)
    assert lane.arrivals == ("mqtt", "stream +1 ms")
    assert [bar.stage for bar in lane.bars] == ["task", "receive", "duplicate", "duplicate", "execute"]
    # What came again ends no stage: the execution is drawn from the first arrival on.
    assert round(lane.bars[-1].x) == round(WIDTH / 9)


def test_a_task_that_was_sent_again_says_so():
    (once, twice), _span = waterfall([hop("task", 0), hop("task", 0, "t2", region="us20")], {"t1": 1, "t2": 2})
    assert (once.attempts, twice.attempts) == (1, 2)


def test_clocks_that_disagree_are_drawn_as_they_are():
    (lane,), _span = waterfall([hop("task", 300), hop("receive", 100), hop("report", 500)])
    assert all(0 <= bar.x <= WIDTH and bar.width > 0 for bar in lane.bars)


def test_nothing_is_a_waterfall_of_nothing():
    assert waterfall([]) == ([], 0.0)
