"""A class at a real JupyterHub: twelve students at once, a panel notebook to its end, sliders.

The hub, its proxy, the servers and kernels are real, on the loopback address; the students are
programs that speak what browsers speak. All run as one user of this machine (the spawner is for
tests only), so what is shown of isolation is what the hub guarantees over the network.
"""

import asyncio
import itertools
import json
import re
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass, field

import httpx
import nbformat
import psutil
import pytest
from classroom import ROOT, Student, hub, memory, most_memory, processes
from tornado.httpclient import HTTPClientError

pytestmark = pytest.mark.full

NOTEBOOK = ROOT / "notebooks/06_sum_of_elbos.ipynb"
STUDENTS = {f"student-{k:02d}": f"a password of number {k}" for k in range(12)}
COURSE = f"weight-of-noise/notebooks/{NOTEBOOK.name}"  # in each student's home
SECRET = "what nobody else may read"
DRAG, MOVES = 4, 10  # a drag takes so many seconds, and makes at least so many moves


@dataclass
class Report:
    """What the class saw and what it cost."""

    wrong_passwords: dict = field(default_factory=dict)
    ready: list = field(default_factory=list)  # seconds from the password to an idle kernel
    through: list = field(default_factory=list)  # seconds for all cells
    mismatches: list = field(default_factory=list)
    alone: list = field(default_factory=list)  # drags: (seconds to the picture, …)
    together: list = field(default_factory=list)
    bad_moves: list = field(default_factory=list)
    same_pictures: int = 0
    cpu_alone: float = 0.0  # seconds of processor a picture, hub, proxy and server included
    cpu_together: float = 0.0
    rate_alone: float = 0.0  # pictures per second
    rate_together: float = 0.0
    moves: list = field(default_factory=list)
    memory: dict = field(default_factory=dict)
    foreign: dict = field(default_factory=dict)  # what A got of B's
    own: dict = field(default_factory=dict)  # what B gets of B's


def saved():
    """The code cells of the notebook: (source, the text it printed when it was committed)."""
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
            yield cell.source, "".join(texts)


def repository(folder):
    """A git repository that holds the notebook; returns its address."""
    home = folder / "weight-of-noise"
    (home / "notebooks").mkdir(parents=True)
    shutil.copy(NOTEBOOK, home / "notebooks")
    who = ["-c", "user.name=Teacher", "-c", "user.email=teacher@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-qm", "Course"]):
        subprocess.run(["git", *command], cwd=home, check=True)
    return f"file://{home}"


async def attend(student, password, link, report):
    """Log in, fetch the course by its link, start the kernel, run the notebook to its end."""
    start = time.perf_counter()
    await student.log_in(password)
    await student.wait_for_server()
    await student.follow(link, COURSE)
    student.kernel, student.places = await student.start_kernel(COURSE), to_and_fro()
    report.ready.append(time.perf_counter() - start)
    start = time.perf_counter()
    for source, text in saved():
        if (seen := await student.kernel.run(source)) != text:
            report.mismatches.append((student.name, source, seen))
    report.through.append(time.perf_counter() - start)


def to_and_fro():
    """Places from −3 to 3 and back in steps of 0.1, without end; no two neighbours are equal."""
    for k in itertools.count():
        yield round(3 - abs((0.1 * k + 2.9) % 12 - 6), 2)


async def drag(student, report, seconds=DRAG):
    """Drag a slider, always on to the next place once its picture has come.

    A second drag goes on where the first ended: a slider set to where it is draws nothing.
    """
    kernel = student.kernel
    slider = kernel.widget("FloatSliderModel", description="shift along λ")
    waits, last, start = [], b"", time.perf_counter()
    while len(waits) < MOVES or time.perf_counter() - start < seconds:
        place = next(student.places)
        pictures, text, wait = await kernel.move(slider, place)
        residual = re.search(r"residual (\S+) of", text)
        if not pictures or pictures[0][:2] != b"\xff\xd8" or float(residual[1]) > 1e-6:
            report.bad_moves.append((student.name, place, len(pictures), text[:200]))
            break
        waits.append(wait)
        report.same_pictures += pictures[0] == last
        last = pictures[0]
    return waits


def processor(root):
    """Seconds of processor that a process and its children have used."""
    family = [root, *root.children(recursive=True)]
    times = [p.cpu_times() for p in family]
    return sum(t.user + t.system for t in times)


async def trespass(thief, victim):
    """What one student gets who asks for another's files, kernels, tokens and account."""
    answers = {
        what: (await thief.get(f"api/{what}", of=victim.name)).status_code
        for what in (
            "contents/secret.txt",
            f"contents/{COURSE}",
            "kernels",
            "sessions",
            "terminals",
        )
    }
    headers = {"X-XSRFToken": thief.xsrf("/hub/")}
    mine = f"/hub/api/users/{thief.name}/tokens"
    made = await thief.http.post(mine, headers=headers, json={"note": "test"})
    assert made.status_code == 201, made.text
    token = {"Authorization": f"token {made.json()['token']}"}
    async with httpx.AsyncClient(base_url=thief.address, headers=token) as bare:
        own = await bare.get(f"{thief.home}/api/kernels")
        assert own.status_code == 200, "the token must open its owner's server"
        for what in (f"{victim.home}/api/kernels", f"/hub/api/users/{victim.name}"):
            answers[f"token {what}"] = (await bare.get(what)).status_code
        stop = await bare.delete(f"/hub/api/users/{victim.name}/server")
        answers["token, stop server"] = stop.status_code
    async with httpx.AsyncClient(base_url=thief.address) as nobody:
        answers["nobody"] = (await nobody.get(f"{victim.home}/api/kernels")).status_code
    for of in (victim.name, thief.name):  # B's kernel at B's server, and at A's own
        try:
            socket = await thief.channels(of, victim.kernel_id)
            socket.close()
            answers[f"channel at {of}"] = 101
        except HTTPClientError as error:
            answers[f"channel at {of}"] = error.code
    above = await thief.get(f"api/contents/..%2F{victim.name}%2Fsecret.txt")
    answers["above"] = above.status_code
    answers["listed"] = {k["id"] for k in (await thief.get("api/kernels")).json()}
    return answers


async def lesson(address, process, link, report):
    """The whole hour."""
    first, second, *_ = class_ = [Student(address, name) for name in STUDENTS]
    for what, name, password in (
        ("wrong", first.name, "a guess"),
        ("empty", first.name, ""),
        ("another's", first.name, STUDENTS[second.name]),
        ("unknown name", "mallory", STUDENTS[first.name]),
    ):
        page = await Student(address, name).log_in(password)
        report.wrong_passwords[what] = (page.status_code, page.url.path)
    await asyncio.gather(*(attend(s, STUDENTS[s.name], link, report) for s in class_))

    for student in class_:
        server, kernel = student.server, student.process = processes(process, student.name)
        report.memory.setdefault("server", []).append(memory(server))
        report.memory.setdefault("kernel", []).append(memory(kernel))
        report.memory.setdefault("kernel, for a moment", []).append(most_memory(kernel))
    report.memory["hub"] = [memory(process)]
    report.memory["proxy"] = [
        memory(p) for p in process.children() if "configurable-http-proxy" in " ".join(p.cmdline())
    ]

    before, start = processor(process), time.perf_counter()
    report.alone = await drag(first, report)
    report.rate_alone = len(report.alone) / (time.perf_counter() - start)
    report.cpu_alone = (processor(process) - before) / len(report.alone)
    before, start = processor(process), time.perf_counter()
    drags = await asyncio.gather(*(drag(student, report) for student in class_))
    report.together = [wait for waits in drags for wait in waits]
    report.rate_together = len(report.together) / (time.perf_counter() - start)
    report.cpu_together = (processor(process) - before) / len(report.together)
    report.moves = [len(waits) for waits in drags]

    await first.kernel.run("from course_utils.training import networks")
    report.memory["kernel with torch"] = [memory(first.process)]

    report.foreign = await trespass(first, second)
    secret = await second.get("api/contents/secret.txt")
    report.own = {"kernels": {k["id"] for k in (await second.get("api/kernels")).json()}}
    report.own |= {"secret": secret.json()["content"], "id": second.kernel_id}
    for student in class_:
        student.kernel.socket.close()
        await student.http.aclose()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    for name in STUDENTS:
        (folder / "homes" / name).mkdir(parents=True)
        (folder / "homes" / name / "secret.txt").write_text(SECRET)
    report = Report()
    with hub(folder, STUDENTS) as (address, process):
        asyncio.run(lesson(address, process, repository(folder), report))
    return report


def test_a_wrong_password_is_refused(report):
    assert len(report.wrong_passwords) == 4
    assert set(report.wrong_passwords.values()) == {(403, "/hub/login")}


def test_every_student_runs_the_notebook_to_its_end(report, capsys):
    assert len(report.ready) == len(report.through) == len(STUDENTS)
    assert report.mismatches == [], "the text of a cell is not the committed one"
    with capsys.disabled():
        print("\n" + "\n".join(sizing(report)))


def test_sliders_answer_alone_and_when_the_whole_class_drags(report):
    assert report.bad_moves == []
    assert len(report.moves) == len(STUDENTS)
    assert min(len(report.alone), *report.moves) >= MOVES
    assert report.same_pictures == 0


def test_nobody_sees_the_files_or_the_kernel_of_another(report):
    foreign = dict(report.foreign)
    assert report.own["secret"] == SECRET, "the file is there, for its owner"
    assert report.own["kernels"] == {report.own["id"]}
    assert report.own["id"] not in foreign.pop("listed")
    assert foreign.pop("channel at student-00") == 404
    assert foreign.pop("above") == 404
    assert foreign.pop(f"token /hub/api/users/{list(STUDENTS)[1]}") == 404
    assert foreign.pop("token, stop server") == 404
    assert len(foreign) == 8 and set(foreign.values()) == {403}, json.dumps(foreign, indent=1)


def sizing(report):
    """The measured numbers, in words."""

    def spread(values, unit=1):
        return f"{statistics.median(values) / unit:.3g} (at most {max(values) / unit:.3g})"

    mega = 1e6
    yield f"{len(STUDENTS)} students at once, {psutil.cpu_count()} processors"
    yield f"from the password to a ready kernel: {spread(report.ready)} s"
    yield f"{NOTEBOOK.name} to its end, all at once: {spread(report.through)} s"
    for what, values in report.memory.items():
        yield f"memory, {what}: {spread(values, mega)} MB"
    for what, waits, rate, cpu in (
        ("one student drags", report.alone, report.rate_alone, report.cpu_alone),
        ("all drag", report.together, report.rate_together, report.cpu_together),
    ):
        yield (
            f"{what}: slider to picture {spread([1000 * w for w in waits])} ms, "
            f"{rate:.1f} pictures a second, {1000 * cpu:.0f} ms of processor a picture, "
            f"{rate * cpu:.2f} processors busy"
        )
