"""A class at a real JupyterHub: twelve students at once, a panel notebook to its end.

The hub, its proxy, the servers and kernels are real, on the loopback address; the students are
programs that speak what browsers speak. All run as one user of this machine (the spawner is for
tests only), so what is shown of isolation is what the hub guarantees over the network.
"""

import asyncio
import shutil
import subprocess

import httpx
import nbformat
import pytest
from classroom import Student, hub
from serving import ROOT
from tornado.httpclient import HTTPClientError

NOTEBOOK = ROOT / "notebooks/06_sum_of_elbos.ipynb"
STUDENTS = [f"student-{k:02d}" for k in range(12)]
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


async def attend(student, link):
    """Log in, fetch the course by its link, start the kernel, run the notebook to its end."""
    await student.log_in()
    await student.follow(link, COURSE)
    await student.start_kernel(COURSE)
    for source, text in saved():
        assert await student.run(source) == text, f"{student.name}: not as committed\n{source}"


async def trespass(thief, victim):
    """Ask for another's files, notebooks, kernels and terminals; nothing of them is to be had."""
    for what in ("contents/secret.txt", f"contents/{COURSE}", "kernels", "sessions", "terminals"):
        assert (await thief.get(f"api/{what}", of=victim.name)).status_code == 403, what
    above = await thief.get(f"api/contents/..%2F{victim.name}%2Fsecret.txt")
    nobody = httpx.get(f"{victim.address}{victim.home}/api/kernels")
    assert (above.status_code, nobody.status_code) == (404, 403)
    for of, expected in ((victim.name, 403), (thief.name, 404)):
        with pytest.raises(HTTPClientError) as refusal:
            await thief.channels(of, victim.kernel_id)
        assert refusal.value.code == expected


async def lesson(address, link):
    """The whole hour."""
    class_ = [Student(address, name) for name in STUDENTS]
    await asyncio.gather(*(attend(student, link) for student in class_))
    await trespass(*class_[:2])
    for student in class_:
        own = (await student.get("api/kernels")).json()
        assert [kernel["id"] for kernel in own] == [student.kernel_id]
        assert (await student.get("api/contents/secret.txt")).json()["content"] == SECRET
        student.socket.close()
        await student.http.aclose()


def test_every_student_runs_the_notebook_and_sees_nothing_of_another(tmp_path):
    for name in STUDENTS:
        (tmp_path / "homes" / name).mkdir(parents=True)
        (tmp_path / "homes" / name / "secret.txt").write_text(SECRET)
    with hub(tmp_path) as address:
        asyncio.run(lesson(address, repository(tmp_path)))
