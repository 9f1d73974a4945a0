"""`rsitr up`: what a warm process answers is what a process of its own answers, and nothing fails because of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rasters import from_origin, write_utm
from rsitr.cli import warm
from rsitr.cli.place import HeldPlace
from rsitr.cli.warm import GO, INTERRUPT, NO, STATUS, TAKEN, WRITES, name_index
from rsitr.index import Settings, ingest
from rsitr.models.zoo import load_encoder

NOT_TAKEN = 99
WORKERS = 2
# A command line that only a warm process answers, and one that none does.
WARM = f"import sys; from rsitr.cli.warm import ask; s = ask(sys.argv); sys.exit({NOT_TAKEN} if s is None else s)"
ALONE = """
import json, os, sys
from rsitr.cli.app import build, run
import rsitr.search.index
build()
for number, line in enumerate(json.loads(sys.argv[1])):
    if os.fork() == 0:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{sys.argv[2]}/{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        sys.argv = line
        run(tell=lambda status: open(f"{sys.argv[0]}", "a").close())
        break
    _, status = os.wait()
    print(os.waitstatus_to_exitcode(status), flush=True)
else:
    os._exit(0 if sys.stdout.flush() is None else 1)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("up")
    write_utm(folder / "scenes" / "a.tif", tags={"TIFFTAG_DATETIME": "2019:06:01 12:00:00"})
    write_utm(folder / "scenes" / "b.tif", transform=from_origin(600_000.0, 5_209_245.0, 5.0, 5.0))
    ingest([folder / "scenes"], into=folder / "index", encoder=load_encoder(), settings=Settings(tile_px=64))
    return folder


@pytest.fixture(scope="module")
def runtime(made: Path) -> Path:
    folder = made / "run"
    folder.mkdir(mode=0o700)
    return folder


def surroundings(runtime: Path, **changes: str) -> dict[str, str]:
    return {**os.environ, "XDG_RUNTIME_DIR": os.fspath(runtime), "COLUMNS": "200", **changes}


def start(index: Path, runtime: Path, *, idle_s: float = 60.0, workers: int = 1) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rsitr.cli.keeping", os.fspath(index), "--idle-s", str(idle_s), "--stay"]
    command += ["--workers", str(workers)]
    keeper = subprocess.Popen(command, env=surroundings(runtime), stdout=subprocess.PIPE)
    assert keeper.stdout is not None
    assert keeper.stdout.readline() == b"ready\n"
    return keeper


def end(keeper: subprocess.Popen[bytes]) -> None:
    keeper.terminate()
    assert keeper.wait(20) == 0
    assert keeper.stdout is not None
    keeper.stdout.close()


@pytest.fixture(scope="module")
def kept(made: Path, runtime: Path) -> Iterator[Path]:
    """An index that is kept warm throughout."""
    keeper = start(made / "index", runtime, workers=WORKERS)
    yield made / "index"
    end(keeper)
    assert not list((runtime / "rsitr").iterdir())


def rsitr(*words: str, runtime: Path, code: str = WARM, cwd: Path | None = None, **changes: str) -> Any:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(
        command, env=surroundings(runtime, **changes), cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


def until_taken(*words: str, runtime: Path, **changes: Any) -> Any:
    """Asked until a worker is there: one answers a question, and others are made meanwhile."""
    for _ in range(50):
        done = rsitr(*words, runtime=runtime, **changes)
        if done.returncode != NOT_TAKEN:
            return done
    pytest.fail("no worker became ready")


def wait_for(what: Callable[[], bool], *, limit_s: float = 20.0) -> None:
    until = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_answers_are_those_of_a_process_of_its_own(kept: Path, runtime: Path, tmp_path: Path) -> None:
    lines = [
        ["search", "index", "a red field"],
        ["search", "index", "a field", "--json", "-k", "3"],
        ["search", "index", "a field", "--not", "water", "--places", "--format", "csv"],
        ["search", "index", "--like", "no-such-tile"],
        ["search", "index", "a field", "--threshold", "7"],
        ["search", "index", "--nonsense"],
        ["search", "index"],
        ["search", "./index/../index", "a field", "--until", "1999"],
        ["search", "index", "a field", "--out", "hits.geojson"],
        ["info", "index"],
        ["info", "index", "--json"],
    ]
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    given = json.dumps([["-c", *line] for line in lines])
    done = rsitr(given, os.fspath(alone), runtime=runtime, code=ALONE, cwd=kept.parent)
    assert done.returncode == 0, done.stderr
    written = kept.parent / "hits.geojson"
    first = written.read_bytes()
    written.unlink()
    statuses = []
    for number, line in enumerate(lines):
        asked = until_taken(*line, runtime=runtime, cwd=kept.parent)
        statuses.append(asked.returncode)
        for name, said in (("out", asked.stdout), ("err", asked.stderr)):
            expected = (alone / f"{number}.{name}").read_text()
            assert _timeless(said) == _timeless(expected), (line, name)
    assert statuses == [int(status) for status in done.stdout.split()]
    assert set(statuses) == {0, 2}
    assert _timeless(written.read_text()) == _timeless(first.decode())


def _timeless(text: str) -> str:
    return re.sub(r'"time_s": [0-9.e-]+', '"time_s": 0', text)


def test_the_command_itself_asks(kept: Path, runtime: Path) -> None:
    before = _workers(kept, runtime)
    command = [sys.executable, "-m", "rsitr", "search", os.fspath(kept), "--nonsense"]
    done = subprocess.run(command, env=surroundings(runtime), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "python -m rsitr search" in done.stderr
    assert "No such option: --nonsense" in done.stderr
    wait_for(lambda: _workers(kept, runtime) != before)


def _workers(index: Path, runtime: Path) -> set[str]:
    number = HeldPlace(runtime / "rsitr", name_index(index)).keeper()
    return set(Path(f"/proc/{number}/task/{number}/children").read_text().split())


def test_five_ask_at_once(kept: Path, runtime: Path) -> None:
    start_command = "import sys; sys.argv[0] = 'rsitr'; from rsitr.cli.entry import run; run()"
    words = [f"a field {number}" for number in range(5)]
    with ThreadPoolExecutor(5) as pool:
        found = list(
            pool.map(
                lambda text: rsitr("search", os.fspath(kept), text, "--json", runtime=runtime, code=start_command),
                words,
            )
        )
    assert [done.returncode for done in found] == [0] * 5, [done.stderr for done in found]
    assert [json.loads(done.stdout)["query"]["text"] for done in found] == words


@pytest.mark.parametrize("changes", [{"OMP_NUM_THREADS": "3"}, {"RSITR_MEMORY_GB": "1"}, {"HF_HOME": "/nowhere"}])
def test_another_environment_is_not_answered(kept: Path, runtime: Path, changes: dict[str, str]) -> None:
    assert rsitr("info", os.fspath(kept), runtime=runtime, **changes).returncode == NOT_TAKEN
    assert until_taken("info", os.fspath(kept), runtime=runtime, TERM="dumb").returncode == 0


def test_what_is_no_question_is_not_heard(kept: Path, runtime: Path) -> None:
    place = HeldPlace(runtime / "rsitr", name_index(kept)).socket
    for nonsense in (b"", b"x", b"\xff\xff\xff\xff", b"\0\0\0\2{}", b"\0\0\0\4nope", b"\0\0\1\0half of it"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.fspath(place))
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(20)
            with suppress(ConnectionResetError):  # it was closed with something unread
                assert connection.recv(1) == b""
    assert until_taken("info", os.fspath(kept), runtime=runtime).returncode == 0


def ask_by_hand(index: Path, runtime: Path, argv: list[str], **changes: Any) -> tuple[socket.socket, bytes]:
    """Ask as a client does, without being one: the connection, and what is answered."""
    environment = surroundings(runtime)
    code = "import json; from rsitr.cli.warm import identify; print(json.dumps(identify()))"
    own = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
    around = {
        "argv": argv,
        "package": None,
        "folder": os.fspath(index.parent),
        "umask": 0o022,
        "environment": environment,
        "streams": [["utf-8", "strict"]] * 3,
    }
    request = json.dumps({"identity": {**json.loads(own), **changes}, "surroundings": around}).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(os.fspath(HeldPlace(runtime / "rsitr", name_index(index)).socket))
    nothing = os.open(os.devnull, os.O_RDWR)
    socket.send_fds(connection, [len(request).to_bytes(4, "big")], [nothing] * 3)
    os.close(nothing)
    connection.sendall(request)
    return connection, connection.recv(1)


def receive_all(connection: socket.socket) -> bytes:
    said = b""
    while more := connection.recv(16):
        said += more
    connection.close()
    return said


def test_an_interrupt_there_is_one_here(kept: Path, runtime: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("a field\n" * 50_000)
    connection, answer = ask_by_hand(kept, runtime, ["rsitr", "search", "index", "--queries", os.fspath(queries)])
    assert answer == TAKEN
    connection.sendall(GO)
    connection.sendall(INTERRUPT)
    said = receive_all(connection)
    assert said[said.index(STATUS) :] == STATUS + bytes([130])


def test_a_worker_ends_with_who_asked(kept: Path, runtime: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("a field\n" * 50_000)
    argv = ["rsitr", "search", "index", "--queries", os.fspath(queries)]
    connection, answer = ask_by_hand(kept, runtime, argv)
    assert answer == TAKEN
    connection.sendall(GO)
    wait_for(lambda: len(_workers(kept, runtime)) > WORKERS)  # another one takes its place
    connection.close()
    wait_for(lambda: len(_workers(kept, runtime)) == WORKERS)


def test_who_says_no_go_leaves_the_work(kept: Path, runtime: Path, tmp_path: Path) -> None:
    out = tmp_path / "hits.csv"
    connection, answer = ask_by_hand(kept, runtime, ["rsitr", "search", "index", "a field", "--out", os.fspath(out)])
    assert answer == TAKEN
    connection.close()
    assert until_taken("info", os.fspath(kept), runtime=runtime).returncode == 0
    assert not out.exists()


def test_the_folder_is_private_and_the_second_says_that_the_first_is_there(kept: Path, runtime: Path) -> None:
    folder = runtime / "rsitr"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    start_command = "import sys; sys.argv[0] = 'rsitr'; from rsitr.cli.entry import run; run()"
    said = rsitr("up", os.fspath(kept), runtime=runtime, code=start_command)
    assert (said.returncode, "is kept warm already, by process" in said.stdout) == (0, True)


def test_a_folder_that_others_can_enter_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "rsitr").mkdir()
    (tmp_path / "rsitr").chmod(0o755)
    command = [sys.executable, "-m", "rsitr", "up", os.fspath(made / "index")]
    done = subprocess.run(command, env=surroundings(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "must be a folder of yours that nobody else can enter" in done.stderr
    assert rsitr("info", os.fspath(made / "index"), runtime=tmp_path).returncode == NOT_TAKEN


@pytest.fixture
def own(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """An index and a runtime folder of a test's own."""
    shutil.copytree(made / "index", tmp_path / "index")
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path / "index", tmp_path / "run"


def test_an_index_that_changes_is_opened_anew_and_one_that_goes_ends_it(own: tuple[Path, Path]) -> None:
    index, runtime = own
    keeper = start(index, runtime)
    manifest = index / "rsitr-index.json"
    about = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**about, "created_with": "rsitr of tomorrow"}))
    assert rsitr("info", os.fspath(index), runtime=runtime).returncode == NOT_TAKEN
    assert "rsitr of tomorrow" in until_taken("info", os.fspath(index), runtime=runtime).stdout
    index.rename(index.with_name("gone"))
    assert keeper.wait(20) == 0
    assert not list((runtime / "rsitr").iterdir())
    end(keeper)


def test_a_killed_one_is_not_waited_for(own: tuple[Path, Path]) -> None:
    index, runtime = own
    keeper = start(index, runtime)
    workers = _workers(index, runtime)
    keeper.kill()
    keeper.wait()
    place = HeldPlace(runtime / "rsitr", name_index(index))
    assert place.socket.exists()
    assert place.keeper() is None
    wait_for(lambda: not any(Path(f"/proc/{number}/fd/0").exists() for number in workers))
    begun = time.monotonic()
    assert rsitr("info", os.fspath(index), runtime=runtime).returncode == NOT_TAKEN
    assert time.monotonic() - begun < 5
    assert keeper.stdout is not None
    keeper.stdout.close()
    # ... and another one takes its place, until another rsitr asks.
    second = start(index, runtime)
    connection, answer = ask_by_hand(index, runtime, ["rsitr", "info", "index"], version="0.0.1")
    connection.close()
    assert answer == NO
    assert second.wait(20) == 0
    end(second)


def test_it_ends_without_questions_and_on_demand(own: tuple[Path, Path]) -> None:
    index, runtime = own
    keeper = start(index, runtime, idle_s=0.3)
    assert keeper.wait(20) == 0
    end(keeper)
    up = "import sys; sys.argv[0] = 'rsitr'; from rsitr.cli.entry import run; run()"
    began = rsitr("up", os.fspath(index), "--minutes", "1", runtime=runtime, code=up)
    assert began.returncode == 0, began.stderr
    assert "is kept warm by process" in began.stdout
    stopped = rsitr("up", os.fspath(index), "--stop", runtime=runtime, code=up)
    assert (stopped.returncode, "is no longer kept warm" in stopped.stdout) == (0, True)
    assert "is not kept warm" in rsitr("down", os.fspath(index), runtime=runtime, code=up).stdout
    wrong = rsitr("up", os.fspath(index), "--minutes", "0", runtime=runtime, code=up)
    assert (wrong.returncode, "--minutes is a number above 0" in wrong.stderr) == (2, True)


def test_a_damaged_index_is_told_at_once(own: tuple[Path, Path]) -> None:
    index, runtime = own
    shutil.rmtree(index / "tiles.lance")
    shutil.rmtree(index / ".cache")
    up = "import sys; sys.argv[0] = 'rsitr'; from rsitr.cli.entry import run; run()"
    done = rsitr("up", os.fspath(index), runtime=runtime, code=up)
    assert done.returncode == 2
    assert done.stderr.startswith("rsitr: ")
    assert "Traceback" not in done.stderr


# --- who asks, with one that answers as it likes ---------------------------------------------------------------------


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket where that of an index would be; `argv` below asks there."""
    folder = tmp_path / "run" / "rsitr"
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(folder / f"{name_index(tmp_path)}.sock"))
        made.listen(0)
        yield made
    sys.stdin.close()


def answering(listener: socket.socket, answers: list[bytes], heard: list[bytes]) -> threading.Thread:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            head, streams, _, _ = socket.recv_fds(connection, 4, 3)
            left = int.from_bytes(head, "big")
            while left > 0:
                left -= len(connection.recv(left))
            for stream in streams:
                os.close(stream)
            for answer in answers:
                connection.sendall(answer)
                if answer != NO:
                    heard.append(connection.recv(1))

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


ARGV = ["rsitr", "info", "."]


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([NO], None),
        ([b"?"], None),
        ([TAKEN, STATUS + b"\1"], 1),
        ([TAKEN, WRITES + STATUS + b"\0"], 0),
        ([TAKEN], None),
    ],
)
def test_who_asks_understands(listener: socket.socket, answers: list[bytes], status: int | None) -> None:
    thread = answering(listener, answers, [])
    assert warm.ask(ARGV) == status
    thread.join()


def test_half_an_answer_is_an_error(listener: socket.socket, capsys: pytest.CaptureFixture[str]) -> None:
    with listener:
        thread = answering(listener, [TAKEN + WRITES], [])
        assert warm.ask(ARGV) == 2
        thread.join()
    assert "ended while it wrote" in capsys.readouterr().err


def test_who_does_not_answer_is_not_waited_for(listener: socket.socket) -> None:
    begun = time.monotonic()
    assert warm.ask(ARGV) is None  # in the queue, where nobody takes it
    assert 0.5 < time.monotonic() - begun < 5
    begun = time.monotonic()
    assert warm.ask(ARGV) is None  # ... which is full now
    assert time.monotonic() - begun < 0.5


def test_an_interrupt_is_sent_on(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    thread = answering(listener, [TAKEN, WRITES, STATUS + bytes([130])], heard)
    real = warm._await_status

    def interrupted(connection: socket.socket) -> int | None:
        threading.Timer(0.2, signal.pthread_kill, [threading.get_ident(), signal.SIGINT]).start()
        return real(connection)

    monkeypatch.setattr(warm, "_await_status", interrupted)
    assert warm.ask(ARGV) == 130
    thread.join()
    assert heard[:2] == [GO, INTERRUPT]


@pytest.mark.parametrize("argv", [["rsitr"], ["rsitr", "info"], ["rsitr", "train", "."], ["rsitr", "info", "--json"]])
def test_other_command_lines_are_not_asked(listener: socket.socket, argv: list[str]) -> None:
    listener.setblocking(False)
    assert warm.ask(argv) is None
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_who_asks_imports_next_to_nothing() -> None:
    code = "import sys, rsitr.cli.entry; print(len(sys.modules), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, *names = done.stdout.split()
    assert int(count) < 110
    assert not {"typer", "pydantic", "numpy", "rich", "inspect", "subprocess", "hashlib"} & set(names)
