"""Signals as people see and send them: by the command, the page and a model, and where each looks at what waits."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from lamplighter import Runtime
from lamplighter.cli.main import main
from lamplighter.contrib.mcp import ActingTools
from lamplighter.errors import SignalRefused, UsageError
from lamplighter.history.trace.job import biography
from lamplighter.testing import Inline

from ..doctor.kit import found
from ..web.kit import Page

JOIN_SECONDS_MAX = 20


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMPLIGHTER_STORE", str(tmp_path / "jobs.db"))
    return tmp_path / "jobs.db"


@pytest.fixture
def rt(runtime, path, recorder):
    """A runtime on which job `a` waits for an approval, for a week."""
    rt = runtime(path)
    rt.jobs.add_handler("signup", lambda job: job.wait("approval", timeout=timedelta(days=7)))
    rt.jobs.queue("signup", id="a")
    recorder.wait_for("job.snoozed", job_id="a")
    return rt


def test_a_command_sends_a_signal(rt, recorder, capsys):
    assert (
        main(["jobs", "signal", "a", "approval", '{"ok": true}', "--by", "ada", "--reason", "fine", "--dry-run"]) == 0
    )
    assert "would signal 'approval' to a, which is queued" in capsys.readouterr().out

    assert main(["jobs", "signal", "a", "approval", '{"ok": true}', "--by", "ada", "--reason", "fine"]) == 0

    assert "a has signal 'approval'" in capsys.readouterr().out
    assert rt.jobs.join("a", timeout=JOIN_SECONDS_MAX).result == {"ok": True}
    told = recorder.wait_for("operator.acted")
    assert (told["by"], told["via"], told["action"], told["reason"]) == ("ada", "cli", "signalled", "fine")
    moves = [move for turn in recorder.of("turn.committed") for move in turn["moves"] if move["k"] == "signalled"]
    assert [(move["step"], move["by"], move["via"], move["why"]) for move in moves] == [
        ("signal:approval", "ada", "cli", "fine")
    ]
    recorder.wait_for("job.done")
    assert recorder.audit().ok


def test_the_wake_by_a_command_is_told_as_its_act_and_not_as_that_of_a_dead_process(rt, recorder, tmp_path):
    assert main(["jobs", "signal", "a", "approval", "--by", "ada"]) == 0
    rt.jobs.join("a", timeout=JOIN_SECONDS_MAX)
    recorder.wait_for("job.done")
    log = tmp_path / "app.log"
    log.write_text("".join(json.dumps(event, default=str) + "\n" for event in recorder.events))

    says = [entry.says for entry in biography([str(log)], "a").entries]

    (woken,) = (one for one in says if one.startswith("woken by signal approval"))
    assert "told by boot" in woken and "dead" not in woken


def test_a_signal_of_another_name_than_the_job_waits_for_is_kept_and_said(rt, path, capsys):
    assert main(["jobs", "signal", "a", "aproval", "1"]) == 0
    heard = capsys.readouterr()
    main(["jobs", "why", "a"])
    main(["jobs", "show", "a"])
    main(["jobs", "signal", "a", "approval", "2"])
    form = {"id": "b", "action": "signal", "signal": "pament"}
    rt.jobs.add_handler("forever", lambda job: job.wait("payment"))
    rt.jobs.queue("forever", id="b")
    while rt.jobs.get("b").awaits is None:
        rt.jobs.counts()
    sent = Page(path).post("/act/job", form)

    assert heard.err == "job a waits for 'approval' now; 'aproval' is kept until the handler waits for it\n"
    told = capsys.readouterr()
    assert told.out.count("; kept too: signal 'aproval', for which it has not waited") == 2
    assert told.err == ""
    assert dict(sent.headers)["Location"].endswith("said=kept")


def test_a_job_that_is_cancelled_while_it_waits_took_no_time(rt, path, capsys):
    rt.jobs.cancel("a")

    main(["jobs", "list", "--json"])
    assert json.loads(capsys.readouterr().out.splitlines()[0])["state"] == "cancelled"
    main(["jobs", "show", "a"])
    assert "took" not in capsys.readouterr().out
    assert "ran " not in Page(path).text("/jobs/a")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["a", "approval", "yes"], 2, "expected DATA to be JSON, got: 'yes'"),
        (["a", "", "1"], 2, "expected the name of a signal to be a str of 1 to 200 characters"),
        (["gone", "approval"], 1, "no job 'gone'"),
    ],
)
def test_a_command_says_what_cannot_be(rt, capsys, arguments, code, says):
    assert main(["jobs", "signal", *arguments]) == code

    assert says in capsys.readouterr().err
    assert rt.jobs.get("a").awaits == "approval"


def test_a_command_says_that_it_comes_too_late(rt, capsys):
    rt.jobs.signal("a", "approval", 1)
    rt.jobs.join("a", timeout=JOIN_SECONDS_MAX)

    assert main(["jobs", "signal", "a", "approval", "2"]) == 1

    assert "job a is done, and takes no signal 'approval'" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["amqp://guest@127.0.0.1:1/"])
def test_on_a_server_nothing_is_sent(address, capsys):
    assert main(["jobs", "signal", "a", "approval", "--store", address]) != 0

    assert (
        "this store keeps queues, no table of jobs: no job can be found to tell it something" in capsys.readouterr().err
    )


def test_why_says_what_a_job_waits_for_since_when_and_until_when(rt, path, capsys):
    forever = rt.jobs.queue("forever", id="b")
    rt.jobs.add_handler("forever", lambda job: job.wait("payment"))
    while rt.jobs.get(forever).awaits is None:
        rt.jobs.counts()

    assert main(["jobs", "why", "a"]) == 0
    one = capsys.readouterr().out
    assert main(["jobs", "why", "b", "--json"]) == 0
    other = json.loads(capsys.readouterr().out.splitlines()[0])

    assert "it waits for signal 'approval', since " in one
    assert ", until " in one
    assert "`lamplighter jobs signal a approval`" in one
    assert "time, after which it runs without the signal" in one
    first = other["reasons"][0] if "reasons" in other else other
    assert first["code"] == "signal"
    assert "until" not in first["sentence"]


def test_the_doctor_notes_what_waits_and_takes_it_for_no_renamed_handler(rt, path):
    rt.jobs.remove_handler(rt.jobs.add_handler("sign-up", lambda job: None))

    (finding,) = found(path, "jobs.signals")
    (parked,) = found(path, "names.parked")

    assert (finding.level, parked.level) == ("note", "ok")
    assert finding.evidence.startswith("1 job waits for a signal, the longest for ")
    assert finding.evidence.endswith("job a of 'signup' for 'approval'")


def test_where_nothing_waits_for_a_signal_all_is_well(runtime, path):
    runtime(path)

    (finding,) = found(path, "jobs.signals")

    assert (finding.level, finding.evidence) == ("ok", "no job waits for a signal")


@pytest.mark.parametrize("signal", [True, False])
def test_a_trace_tells_what_a_job_has_waited_for_and_who_sent_it(tmp_path, signal):
    def register(runtime: Runtime) -> None:
        runtime.jobs.add_handler("signup", lambda job: bool(job.wait("approval", timeout=60)))

    with Inline(register) as app:
        app.jobs.queue("signup", id="a")
        if signal:
            app.jobs.signal("a", "approval", 7, by="ada", reason="fine")
        app.advance(minutes=2)
        (tmp_path / "log").write_text(app.log)

    told = biography([str(tmp_path / "log")], "a")

    assert told is not None
    said = [entry.says for entry in told.entries]
    assert "waits for signal approval" in said
    assert any(text.startswith("snoozed, queued again") and text.endswith("waits for signal approval") for text in said)
    if signal:
        assert "signal approval sent by ada, with 1 byte of data: fine" in said
        assert "woken by signal approval" in said
    else:
        assert "signal approval did not come in time" in said


def test_the_page_shows_what_a_job_waits_for_and_sends_it(rt, path, recorder):
    page = Page(path)
    text = page.text("/jobs/a")
    assert "it waits for signal &#39;approval&#39;, since " in text
    assert 'name="signal" required maxlength="200" value="approval"' in text

    form = {"id": "a", "action": "signal", "signal": "approval", "data": '{"ok": true}', "reason": "fine"}
    assert page.post("/act/job", form).status == 303

    assert rt.jobs.join("a", timeout=JOIN_SECONDS_MAX).result == {"ok": True}
    told = recorder.wait_for("operator.acted")
    assert (told["by"], told["via"], told["reason"]) == ("ada", "web", "fine")
    assert "Send it a signal" not in page.text("/jobs/a")
    assert "takes no signal" in page.post("/act/job", form).body.decode()


def test_whoever_may_not_signal_has_no_form_of_it(rt, path):
    page = Page(path, may={"look", "requeue", "cancel"})

    assert "Send it a signal" not in page.text("/jobs/a")
    assert page.post("/act/job", {"id": "a", "action": "signal", "signal": "approval"}).status == 403


def test_the_page_refuses_data_that_is_no_json(rt, path):
    answer = Page(path).post("/act/job", {"id": "a", "action": "signal", "signal": "approval", "data": "yes"})

    assert answer.status == 400
    assert "expected data to be JSON" in answer.body.decode()
    assert rt.jobs.get("a").awaits == "approval"


def test_a_model_sends_a_signal_with_a_reason(rt, path, recorder):
    tools = ActingTools(str(path))
    with pytest.raises(UsageError, match="expected a reason"):
        tools.signal("claude", "a", "approval", {"ok": True}, " ")

    tools.signal("claude", "a", "approval", {"ok": True}, "asked for")

    assert rt.jobs.join("a", timeout=JOIN_SECONDS_MAX).result == {"ok": True}
    told = recorder.wait_for("operator.acted")
    assert (told["by"], told["via"], told["reason"]) == ("mcp:claude", "mcp", "asked for")
    with pytest.raises(SignalRefused):
        tools.signal("claude", "a", "approval", {"ok": True}, "again")
