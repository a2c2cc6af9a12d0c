"""The normal form of Python source: words and formatting leave it, the program does not."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import metabench
from metabench.utils import python_source
from metabench.utils.python_source import normalized

PROGRAM = b'''
"""A module."""
RATE = 0.1  # the rate


def step(x: float, *, twice: bool = False) -> float:
    """Returns a step."""
    if twice:
        return step(step(x))
    return x - RATE * f(x, "'")


class Body:
    width: int = 8
    """The width."""
'''
OTHER_WORDS = b"""
RATE = .1
def step( x:float , * , twice:bool=False ,) -> float:
    '''Computes one step.

    Of gradient descent.
    '''
    # Twice.
    if (twice): return step(step(x))
    return (x - (RATE*f(x, '\\'')))
class Body:
    'The body.'
    width: int = 8
"""


def test_words_and_formatting_leave_it() -> None:
    assert normalized(OTHER_WORDS) == normalized(PROGRAM)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"0.1", b"0.2"),
        (b"x - RATE", b"x + RATE"),
        (b"twice: bool = False", b"twice: bool = True"),
        (b"width: int", b"width: float"),
        (b"RATE", b"SPEED"),
        (b'"\'"', b"'other'"),
        (b"return x", b"x"),
        (b"8", b"8.0"),
        (b"step(x)", b"step(x, '')"),
    ],
)
def test_another_program_changes_it(old: bytes, new: bytes) -> None:
    changed = PROGRAM.replace(old, new)
    assert normalized(changed) != normalized(PROGRAM)


def test_the_form_is_fixed() -> None:
    """A change of the form makes the code of every record on a board another one."""
    assert normalized(b"def f(a, *, b=1): 'Doc.'; return {**a, '\xc3\xa9': [-b, None]}") == (
        "Module(body=[FunctionDef(args=arguments(args=[arg(arg='a'),]kw_defaults=[Constant(value=1)"
        ",]kwonlyargs=[arg(arg='b'),])body=[Return(value=Dict(keys=[None,Constant(value='\\xe9'),]"
        "values=[Name(id='a'),List(elts=[UnaryOp(op=USub()operand=Name(id='b')),Constant(),])"
        ",])),]name='f'),])"
    )


F_STRINGS = rb"""
x = f"{z=}" f"a{x}" "b" f'{y!r:>{w}}' f"{{}}" f"{x:.2f}" rf"\d{x}" f"{x:}" f"{x!s:{w}.{p}}"
y = f"" "" "\U0001FAE8"
"""


DIGESTS = """
import hashlib, pathlib, runpy, sys
normalized = runpy.run_path(sys.argv[1])["normalized"]
for path in sorted(pathlib.Path(sys.argv[2]).rglob("*.py")):
    print(hashlib.sha256(normalized(path.read_bytes()).encode()).hexdigest())
"""


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_every_version_of_python_gives_the_same_form(version: str, tmp_path: Path) -> None:
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], check=False).returncode:
        pytest.skip(f"Python {version} is not installed")
    (tmp_path / "f_strings.py").write_bytes(F_STRINGS)
    for folder in (Path(metabench.__file__).parent, tmp_path):
        arguments = [python, "-I", "-c", DIGESTS, python_source.__file__, str(folder)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        here = [
            hashlib.sha256(normalized(path.read_bytes()).encode()).hexdigest()
            for path in sorted(folder.rglob("*.py"))
        ]
        assert here
        assert done.stdout.split() == here, sys.version
