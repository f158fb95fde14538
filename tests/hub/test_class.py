"""A class at a real JupyterHub: twelve students at once, a panel notebook to its end, sliders.

The hub, its proxy, the servers and kernels are real, on the loopback address; the students are
programs that speak what browsers speak. All run as one user of this machine (the spawner is for
tests only), so what is shown of isolation is what the hub guarantees over the network.
"""

import asyncio
import itertools
import re
import shutil
import statistics
import subprocess
import time
from collections import defaultdict

import httpx
import nbformat
import psutil
import pytest
from classroom import Student, hub, memory, most_memory, processes
from serving import ROOT
from tornado.httpclient import HTTPClientError

pytestmark = pytest.mark.full

NOTEBOOK = ROOT / "notebooks/06_sum_of_elbos.ipynb"
STUDENTS = {f"student-{k:02d}": f"a password of number {k}" for k in range(12)}
COURSE = f"weight-of-noise/notebooks/{NOTEBOOK.name}"  # in each student's home
SECRET = "what nobody else may read"
DRAG, MOVES = 4, 10  # a drag takes so many seconds, and makes at least so many moves


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
    report["ready"].append(time.perf_counter() - start)
    start = time.perf_counter()
    for source, text in saved():
        if (seen := await student.kernel.run(source)) != text:
            report["mismatches"].append((student.name, source, seen))
    report["through"].append(time.perf_counter() - start)


def to_and_fro():
    """Places from −3 to 3 and back in steps of 0.1, without end; no two neighbours are equal."""
    for k in itertools.count():
        yield round(3 - abs((0.1 * k + 2.9) % 12 - 6), 2)


async def drag(student, report):
    """Drag a slider, always on to the next place once its picture has come; returns the waits.

    A second drag goes on where the first ended: a slider set to where it is draws nothing.
    """
    slider = student.kernel.widget("FloatSliderModel", description="shift along λ")
    waits, last, start = [], b"", time.perf_counter()
    while len(waits) < MOVES or time.perf_counter() - start < DRAG:
        place = next(student.places)
        pictures, text, wait = await student.kernel.move(slider, place)
        residual = re.search(r"residual below (\S+) of", text)
        bad = not pictures or pictures[0][:2] != b"\xff\xd8" or float(residual[1]) > 1e-6
        if bad or pictures[0] == last:
            report["bad_moves"].append((student.name, place, len(pictures), text[:200]))
            break
        waits.append(wait)
        last = pictures[0]
    return waits


async def drag_measured(what, students, process, report):
    """Let students drag at once: waits of each, pictures a second, processor seconds a picture."""
    before, start = processor(process), time.perf_counter()
    waits = await asyncio.gather(*(drag(student, report) for student in students))
    rate = sum(map(len, waits)) / (time.perf_counter() - start)
    report["drags"].append(
        (what, waits, rate, (processor(process) - before) / sum(map(len, waits)))
    )


def processor(root):
    """Seconds of processor that a process and its children have used."""
    family = [root, *root.children(recursive=True)]
    times = [p.cpu_times() for p in family]
    return sum(t.user + t.system for t in times)


async def trespass(thief, victim):
    """What one student gets who asks for another's files, kernels, tokens and account."""
    api = ("contents/secret.txt", f"contents/{COURSE}", "kernels", "sessions", "terminals")
    answers = {what: (await thief.get(f"api/{what}", of=victim.name)).status_code for what in api}
    headers = {"X-XSRFToken": thief.xsrf("/hub/")}
    mine = f"/hub/api/users/{thief.name}/tokens"
    made = await thief.http.post(mine, headers=headers, json={"note": "test"})
    assert made.status_code == 201, made.text
    token = {"Authorization": f"token {made.json()['token']}"}
    async with httpx.AsyncClient(base_url=thief.address, headers=token) as bare:
        own = await bare.get(f"{thief.home}/api/kernels")
        assert own.status_code == 200, "the token must open its owner's server"
        answers["token, kernels"] = (await bare.get(f"{victim.home}/api/kernels")).status_code
        account = f"/hub/api/users/{victim.name}"
        answers["token, account"] = (await bare.get(account)).status_code
        answers["token, stop server"] = (await bare.delete(f"{account}/server")).status_code
    async with httpx.AsyncClient(base_url=thief.address) as nobody:
        answers["nobody"] = (await nobody.get(f"{victim.home}/api/kernels")).status_code
    for of in (victim.name, thief.name):  # B's kernel at B's server, and at A's own
        try:
            (await thief.channels(of, victim.kernel_id)).close()
            answers[f"channel at {of}"] = 101
        except HTTPClientError as error:
            answers[f"channel at {of}"] = error.code
    above = await thief.get(f"api/contents/..%2F{victim.name}%2Fsecret.txt")
    return answers | {"above": above.status_code}


async def kernels(student):
    """The kernels that a student sees."""
    return [kernel["id"] for kernel in (await student.get("api/kernels")).json()]


async def lesson(address, process, link, report):
    """The whole hour."""
    first, second, *_ = class_ = [Student(address, name) for name in STUDENTS]
    for name, password in (
        (first.name, "a guess"),
        (first.name, ""),
        (first.name, STUDENTS[second.name]),
        ("mallory", STUDENTS[first.name]),
    ):
        page = await Student(address, name).log_in(password)
        report["wrong_passwords"].append((page.status_code, page.url.path))
    await asyncio.gather(*(attend(s, STUDENTS[s.name], link, report) for s in class_))

    held = report["memory"] = defaultdict(list)
    for student in class_:
        server, kernel = processes(process, student.name)
        held["server"].append(memory(server))
        held["kernel"].append(memory(kernel))
        held["kernel, for a moment"].append(most_memory(kernel))
    held["hub"].append(memory(process))
    proxies = [p for p in process.children() if "http-proxy" in " ".join(p.cmdline())]
    held["proxy"] += map(memory, proxies)

    await drag_measured("one student drags", class_[:1], process, report)
    await drag_measured("all drag", class_, process, report)
    await first.kernel.run("from course_utils.training import networks")
    held["kernel with torch"].append(memory(processes(process, first.name)[1]))

    report["foreign"] = await trespass(first, second)
    report["secret"] = (await second.get("api/contents/secret.txt")).json()["content"]
    report["kernels"] = [await kernels(first), await kernels(second)]
    report["started"] = [first.kernel_id, second.kernel_id]
    for student in class_:
        student.kernel.socket.close()
        await student.http.aclose()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What the class saw and what it cost, by name."""
    folder = tmp_path_factory.mktemp("hub")
    for name in STUDENTS:
        (folder / "homes" / name).mkdir(parents=True)
        (folder / "homes" / name / "secret.txt").write_text(SECRET)
    report = defaultdict(list)
    with hub(folder, STUDENTS) as (address, process):
        asyncio.run(lesson(address, process, repository(folder), report))
    return report


def test_a_wrong_password_is_refused(report):
    assert report["wrong_passwords"] == [(403, "/hub/login")] * 4


def test_every_student_runs_the_notebook_to_its_end(report, capsys):
    assert len(report["ready"]) == len(report["through"]) == len(STUDENTS)
    assert report["mismatches"] == [], "the text of a cell is not the committed one"
    with capsys.disabled():
        print("\n" + "\n".join(sizing(report)))


def test_sliders_answer_alone_and_when_the_whole_class_drags(report):
    assert report["bad_moves"] == []
    (_, alone, *_), (_, together, *_) = report["drags"]
    assert len(alone) == 1 and len(together) == len(STUDENTS)
    assert min(map(len, alone + together)) >= MOVES


def test_nobody_sees_the_files_or_the_kernel_of_another(report):
    assert report["secret"] == SECRET, "the file is there, for its owner"
    assert report["kernels"] == [[kernel] for kernel in report["started"]]
    foreign = dict(report["foreign"])
    for what in ("token, account", "token, stop server", "channel at student-00", "above"):
        assert foreign.pop(what) == 404, what
    assert len(foreign) == 8 and set(foreign.values()) == {403}, foreign


def sizing(report):
    """The measured numbers, in words."""

    def spread(values, unit=1):
        return f"{statistics.median(values) / unit:.3g} (at most {max(values) / unit:.3g})"

    yield f"{len(STUDENTS)} students at once, {psutil.cpu_count()} processors"
    yield f"from the password to a ready kernel: {spread(report['ready'])} s"
    yield f"{NOTEBOOK.name} to its end, all at once: {spread(report['through'])} s"
    for what, values in report["memory"].items():
        yield f"memory, {what}: {spread(values, 1e6)} MB"
    for what, waits, rate, cpu in report["drags"]:
        yield (
            f"{what}: slider to picture {spread([1000 * w for each in waits for w in each])} ms, "
            f"{rate:.1f} pictures a second, {1000 * cpu:.0f} ms of processor a picture, "
            f"{rate * cpu:.2f} processors busy"
        )
