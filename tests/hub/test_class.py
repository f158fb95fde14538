"""A class at a real JupyterHub: twelve students at once, a panel notebook to its end.

The hub, its proxy, the servers and kernels are real, on the loopback address; the students are
programs that speak what browsers speak. All run as one user of this machine (the spawner is for
tests only), so what is shown of isolation is what the hub guarantees over the network.
"""

import asyncio
import shutil
import subprocess
from collections import defaultdict

import httpx
import nbformat
import pytest
from classroom import Student, hub
from serving import ROOT
from tornado.httpclient import HTTPClientError

NOTEBOOK = ROOT / "notebooks/06_sum_of_elbos.ipynb"
STUDENTS = {f"student-{k:02d}": f"a password of number {k}" for k in range(12)}
COURSE = f"weight-of-noise/notebooks/{NOTEBOOK.name}"  # in each student's home
SECRET = "what nobody else may read"


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
    await student.log_in(password)
    await student.wait_for_server()
    await student.follow(link, COURSE)
    student.kernel = await student.start_kernel(COURSE)
    for source, text in saved():
        if (seen := await student.kernel.run(source)) != text:
            report["mismatches"].append((student.name, source, seen))
    report["through"].append(student.name)


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


async def lesson(address, link, report):
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

    report["foreign"] = await trespass(first, second)
    report["secret"] = (await second.get("api/contents/secret.txt")).json()["content"]
    report["kernels"] = [await kernels(first), await kernels(second)]
    report["started"] = [first.kernel_id, second.kernel_id]
    for student in class_:
        student.kernel.socket.close()
        await student.http.aclose()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What the class saw, by name."""
    folder = tmp_path_factory.mktemp("hub")
    for name in STUDENTS:
        (folder / "homes" / name).mkdir(parents=True)
        (folder / "homes" / name / "secret.txt").write_text(SECRET)
    report = defaultdict(list)
    with hub(folder, STUDENTS) as address:
        asyncio.run(lesson(address, repository(folder), report))
    return report


def test_a_wrong_password_is_refused(report):
    assert report["wrong_passwords"] == [(403, "/hub/login")] * 4


def test_every_student_runs_the_notebook_to_its_end(report):
    assert sorted(report["through"]) == list(STUDENTS)
    assert report["mismatches"] == [], "the text of a cell is not the committed one"


def test_nobody_sees_the_files_or_the_kernel_of_another(report):
    assert report["secret"] == SECRET, "the file is there, for its owner"
    assert report["kernels"] == [[kernel] for kernel in report["started"]]
    foreign = dict(report["foreign"])
    for what in ("token, account", "token, stop server", "channel at student-00", "above"):
        assert foreign.pop(what) == 404, what
    assert len(foreign) == 8 and set(foreign.values()) == {403}, foreign
