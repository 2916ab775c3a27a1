"""Fetching ACAS Xu, from servers on this machine and from folders, whatever goes wrong on the way.

A few small files stand in for the public ones wherever their digests would need the real thing.
"""

import gzip
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from slir_milp import fetch
from slir_milp.errors import FetchError
from slir_milp.fetch import Patience, fetch_acasxu

FILES = {
    "onnx/ACASXU_run2a_1_1_batch_2000.onnx": b"first" * 1000,
    "onnx/ACASXU_run2a_1_2_batch_2000.onnx": b"second" * 1000,
    "vnnlib/prop_1.vnnlib": b"; a property\n",
}
FIRST, SECOND, PROPERTY = FILES
BRIEF = Patience(timeout=0.3, attempts=2, pause=0.01)


@dataclass(frozen=True)
class Answer:
    """What a server answers; with ``missing``, it promises so many bytes more than it sends."""

    content: bytes = b""
    status: int = 200
    missing: int = 0


@dataclass
class Server:
    """Answers by path, each list's in turn and its last for ever; everything else is not found."""

    answers: dict[str, list[Answer]]
    address: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        self.asked.append(path)
        answers = self.answers.get(path, [Answer(b"not here", 404)])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def serving(answers: dict[str, Answer | list[Answer]]) -> Iterator[Server]:
    server = Server({f"/{path}": a if isinstance(a, list) else [a] for path, a in answers.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = server.answer(self.path)
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.content) + answer.missing))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        server.address = f"http://127.0.0.1:{http.server_address[1]}"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _small_set(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetch, "PUBLIC", ())  # no test may leave this machine
    if not {"benchmarks", "real_table"} & set(request.fixturenames):
        monkeypatch.setattr(fetch, "_digests", lambda: {name: sha256(b).hexdigest() for name, b in FILES.items()})


def good() -> dict[str, Answer | list[Answer]]:
    return {name: Answer(content) for name, content in FILES.items()}


def found(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, but for the table of instances."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    files.pop("instances.csv", None)
    return files


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def complaint(target: Path, origin: str | Path | None) -> str:
    """The one sentence that a failing fetch says."""
    with pytest.raises(FetchError) as caught:
        fetch_acasxu(target, origin, patience=BRIEF)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


PACKED: dict[str, Callable[[str], str]] = {
    "folders": lambda name: name,
    "folders-gzip": lambda name: f"{name}.gz",
    "flat": lambda name: name.split("/")[1],
    "flat-gzip": lambda name: f"{name.split('/')[1]}.gz",
}


@pytest.mark.parametrize("place", PACKED.values(), ids=PACKED)
def test_a_mirror_of_any_usual_layout_serves(place: Callable[[str], str], tmp_path: Path) -> None:
    packed = {
        place(name): Answer(gzip.compress(content) if place(name).endswith(".gz") else content)
        for name, content in FILES.items()
    }
    seen: list[tuple[int, int, str]] = []
    with serving(dict(packed)) as server:
        folder = fetch_acasxu(
            tmp_path / "new" / "acasxu", server.address + "/", progress=lambda *a: seen.append(a), patience=BRIEF
        )
    assert folder == tmp_path / "new" / "acasxu"
    assert found(folder) == FILES
    assert seen == [(i, len(FILES), name) for i, name in enumerate(FILES, start=1)]
    assert len(server.asked) <= len(FILES) + 3  # the layout is looked for once


@pytest.mark.parametrize("place", PACKED.values(), ids=PACKED)
def test_a_folder_is_searched_with_its_subfolders(place: Callable[[str], str], tmp_path: Path) -> None:
    packed = {
        f"a/b/{place(name)}": gzip.compress(content) if place(name).endswith(".gz") else content
        for name, content in FILES.items()
    }
    origin = write(tmp_path / "origin", packed)
    assert found(fetch_acasxu(tmp_path / "target", origin)) == FILES


def test_in_a_folder_the_right_file_is_told_from_others_of_its_name(tmp_path: Path) -> None:
    origin = write(tmp_path / "origin", {f"good/{name}": content for name, content in FILES.items()})
    write(origin, {f"bad/{name}": b"something else" for name in FILES})
    (origin / "also" / Path(FIRST).name).mkdir(parents=True)
    assert found(fetch_acasxu(tmp_path / "target", origin)) == FILES


def bad_answers() -> dict[str, tuple[Answer, str]]:
    whole = FILES[FIRST]
    packed = gzip.compress(whole)
    return {
        "wrong": (Answer(b"another file"), "SHA-256"),
        "truncated": (Answer(whole[:100], missing=len(whole) - 100), "ended after 100 of 5000 bytes"),
        "truncated-unnoticed": (Answer(whole[:100]), "SHA-256"),
        "gzip-truncated": (Answer(packed[:-20]), "SHA-256"),
        "gzip-damaged": (Answer(packed[:12] + b"\xff" * 20), "SHA-256"),
        "gzip-huge": (Answer(gzip.compress(bytes(1 << 24))), "SHA-256"),
        "huge": (Answer(bytes((1 << 22) + 1000)), "SHA-256"),
        "not-found": (Answer(b"", 404), "was not found"),
        "forbidden": (Answer(b"", 403), "403"),
        "unwell": (Answer(b"", 503), "503"),
    }


@pytest.mark.parametrize(("answer", "said"), bad_answers().values(), ids=bad_answers())
def test_a_bad_download_is_reported_and_leaves_nothing(answer: Answer, said: str, tmp_path: Path) -> None:
    with serving({**good(), FIRST: answer}) as server:
        text = complaint(tmp_path / "new" / "target", server.address)
    assert said in text
    assert Path(FIRST).name in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("answer", "said"), bad_answers().values(), ids=bad_answers())
def test_what_was_right_before_a_bad_download_is_kept_and_not_asked_for_again(
    answer: Answer, said: str, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    with serving({**good(), SECOND: answer}) as server:
        assert said in complaint(target, server.address)
    assert found(target) == {FIRST: FILES[FIRST]}
    with serving(good()) as server:
        fetch_acasxu(target, server.address, patience=BRIEF)
        assert not any(Path(FIRST).name in path for path in server.asked)
        assert found(target) == FILES
        server.asked.clear()
        fetch_acasxu(target, server.address, patience=BRIEF)
        assert server.asked == []


def test_a_wrong_file_in_the_target_is_replaced(tmp_path: Path) -> None:
    target = write(tmp_path / "target", {FIRST: b"half of", "notes.txt": b"mine"})
    with serving(good()) as server:
        fetch_acasxu(target, server.address, patience=BRIEF)
    assert found(target) == {**FILES, "notes.txt": b"mine"}


def test_a_wrong_file_in_the_target_stays_while_nothing_better_is_had(tmp_path: Path) -> None:
    target = write(tmp_path / "target", {FIRST: b"half of"})
    with serving({}) as server:
        assert "was not found" in complaint(target, server.address)
    assert found(target) == {FIRST: b"half of"}


@pytest.mark.parametrize("trouble", [Answer(b"", 503), Answer(b"x", missing=100)], ids=["unwell", "cut"])
def test_passing_trouble_is_sat_out(trouble: Answer, tmp_path: Path) -> None:
    answers = {**good(), f"{FIRST}.gz": [trouble, Answer(gzip.compress(FILES[FIRST]))]}
    with serving(answers) as server:
        assert found(fetch_acasxu(tmp_path / "target", server.address, patience=BRIEF)) == FILES
    assert server.asked.count(f"/{FIRST}.gz") == 2


def test_lasting_trouble_is_not_asked_again(tmp_path: Path) -> None:
    with serving({f"{FIRST}.gz": Answer(b"", 403)}) as server:
        complaint(tmp_path / "target", server.address)
    assert server.asked == [f"/{FIRST}.gz"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_refused_connection_is_reported(tmp_path: Path) -> None:
    text = complaint(tmp_path / "target", f"http://127.0.0.1:{free_port()}")
    assert "refused" in text
    assert list(tmp_path.iterdir()) == []


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = complaint(tmp_path / "target", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "timed out" in text
    assert list(tmp_path.iterdir()) == []


def test_the_next_public_repository_is_asked_where_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({FIRST: Answer(b"changed")}) as changed, serving(good()) as server:
        refused = f"http://127.0.0.1:{free_port()}"
        monkeypatch.setattr(fetch, "PUBLIC", (refused, changed.address, server.address))
        assert found(fetch_acasxu(tmp_path / "target", patience=BRIEF)) == FILES


@pytest.mark.parametrize("origin", ["ftp://example.org/acasxu", "file:///tmp"])
def test_other_kinds_of_address_are_refused(origin: str, tmp_path: Path) -> None:
    assert "https://" in complaint(tmp_path / "target", origin)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("origin", ["http://", "http://a b/", "https://[::1"])
def test_impossible_addresses_are_reported(origin: str, tmp_path: Path) -> None:
    complaint(tmp_path / "target", origin)
    assert list(tmp_path.iterdir()) == []


def test_an_origin_that_is_no_folder_is_reported(tmp_path: Path) -> None:
    assert "there is no folder" in complaint(tmp_path / "target", tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_the_files_is_reported(tmp_path: Path) -> None:
    origin = write(tmp_path / "origin", {FIRST: FILES[FIRST], SECOND: FILES[SECOND][:-1]})
    text = complaint(tmp_path / "target", origin)
    assert Path(SECOND).name in text
    assert "SHA-256" in text
    assert found(tmp_path / "target") == {FIRST: FILES[FIRST]}


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_target_that_is_a_file_is_reported(below: str, tmp_path: Path) -> None:
    origin = write(tmp_path / "origin", FILES)
    (tmp_path / "target").write_text("a file")
    complaint(tmp_path / "target" / below, origin)
    assert (tmp_path / "target").read_text() == "a file"


def test_folders_made_on_the_way_to_an_impossible_one_vanish(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="cannot be made"):
        fetch_acasxu(tmp_path / "new" / ("x" * 300), tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_place_that_is_taken_by_a_folder_is_reported(tmp_path: Path) -> None:
    origin = write(tmp_path / "origin", FILES)
    (tmp_path / "target" / FIRST).mkdir(parents=True)
    assert "cannot be written" in complaint(tmp_path / "target", origin)
    assert found(tmp_path / "target") == {}


def test_a_failing_disk_is_reported_and_nothing_is_left(tmp_path: Path) -> None:
    origin = write(tmp_path / "origin", FILES)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # bytes; no file may grow beyond
    try:
        text = complaint(tmp_path / "target", origin)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written" in text
    assert not (tmp_path / "target").exists()


def test_an_interrupted_run_leaves_right_files_only(tmp_path: Path) -> None:
    def interrupt(done: int, of: int, name: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_acasxu(tmp_path / "target", write(tmp_path / "origin", FILES), progress=interrupt)
    assert found(tmp_path / "target") == {FIRST: FILES[FIRST], SECOND: FILES[SECOND]}


def test_the_instances_are_those_of_the_competition(tmp_path: Path) -> None:
    folder = fetch_acasxu(tmp_path / "target", write(tmp_path / "origin", FILES))
    rows = [line.split(",") for line in (folder / "instances.csv").read_text().splitlines()]
    assert len({(network, query) for network, query, _ in rows}) == len(rows) == 186
    assert {timeout for *_, timeout in rows} == {"116"}
    assert sum(query == "vnnlib/prop_3.vnnlib" for _, query, _ in rows) == 45
    (folder / "instances.csv").write_text("mine")
    fetch_acasxu(folder, tmp_path / "origin")
    assert (folder / "instances.csv").read_text() == "mine"


@pytest.mark.usefixtures("real_table")
def test_the_table_of_digests_is_complete() -> None:
    digests = fetch._digests()
    assert sum(name.startswith("onnx/") for name in digests) == 45
    assert sum(name.startswith("vnnlib/") for name in digests) == 10
    assert len(set(digests.values())) == 55
    assert all(len(bytes.fromhex(digest)) == 32 for digest in digests.values())
    for line in fetch._instances().splitlines():
        network, query, _ = line.split(",")
        assert {network, query} <= digests.keys()


@pytest.fixture
def real_table() -> None:
    """Ask for the digests of the public files."""


def test_the_public_files_are_recognised(benchmarks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = benchmarks / "acasxu"
    there = {name: digest for name, digest in fetch._digests().items() if (origin / name).is_file()}
    assert sum(name.startswith("vnnlib/") for name in there) == 10
    assert sum(name.startswith("onnx/") for name in there) > 10  # a benchmark folder need not have all networks
    monkeypatch.setattr(fetch, "_digests", lambda: there)
    assert found(fetch_acasxu(tmp_path / "target", origin)).keys() == there.keys()
