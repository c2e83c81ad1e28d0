"""Programs that mean harm, by what they try; {canary} stands for a watched folder, {port} for a watched port."""

from __future__ import annotations

from typing import Final

from tests.unit.test_sandbox import FILES, LOOKING, LOOPS, MEMORY, NETWORK, PROCESSES

MORE_FILES: Final = [
    "open('{canary}/secret').read()",
    "open('{canary}/new', 'w').write('x')",
    "import os\nos.scandir('{canary}')",
    "from pathlib import Path\nPath('{canary}/secret').unlink()",
    "from pathlib import Path\nlist(Path('{canary}').iterdir())",
    "import os\nos.symlink('{canary}', '{canary}/link')",
    "import os\nos.chmod('{canary}/secret', 0)",
    "import fileinput\nlist(fileinput.input('{canary}/secret'))",
    "import linecache\nlinecache.getlines('{canary}/secret')",
    "exec(open('{canary}/secret').read())",
    "print('x', file=open('{canary}/new', 'a'))",
]
MORE_NETWORK: Final = [
    "import socket\nsocket.create_connection(('127.0.0.1', {port}))",
    "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/')",
    "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', {port}))",
    "import http.client\nhttp.client.HTTPConnection('127.0.0.1', {port}).request('GET', '/')",
]
RECURSION: Final = [
    "def f(n):\n    return f(n + 1)\nf(0)",
    "f = lambda g: g(g)\nf(f)",
    "class A:\n    def __repr__(self):\n        return repr(self)\nrepr(A())",
    "class A:\n    def __eq__(self, other):\n        return self == other\nA() == A()",
    "a = []\nfor i in range(100000):\n    a = [a]\nrepr(a)",
    "a = []\na.append(a)\nstr(a)",
    "a = {}\na['a'] = a\nstr(a)",
    "a = ()\nfor i in range(100000):\n    a = (a,)\nhash(a)",
    "a = [[]]\na[0] = a\na == [a]",
    "(" * 5000 + ")" * 5000,
    "1" + "+1" * 20000,
    "x = " + "-" * 30000 + "1",
    "[" * 3000 + "]" * 3000,
]
NUMBERS: Final = [
    "x = 3\nwhile True:\n    x = x * x",
    "9 ** 9 ** 9",
    "1 << (1 << 40)",
    "str(10 ** 1000000)",
    "int('9' * 5000000)",
    "pow(7, 10 ** 8)",
    "pow(3, 10 ** 30, 10 ** 300)",
    "import math\nmath.factorial(10 ** 7)",
    "import math\nmath.comb(10 ** 7, 5 * 10 ** 6)",
    "sum(10 ** i for i in range(10 ** 6))",
    "round(1.5, -10 ** 9)",
    "float('1' * 1000000)",
    "hash(2 ** 10000000)",
]
TEXTS: Final = [
    "'x' * (1 << 40)",
    "'x'.rjust(1 << 40)",
    "'x'.center(10 ** 12)",
    "'{{:1000000000}}'.format(1)",
    "f'{{1:>1000000000}}'",
    "'ab'.replace('', 'x' * 10 ** 6) * 10 ** 5",
    "','.join(['x' * 10 ** 6] * 10 ** 5)",
    "x = 'ab'\nfor i in range(60):\n    x = x.replace('a', 'aab')",
    "('x' * 10 ** 6).split('') ",
    "[('x' * 10 ** 6) + str(i) for i in range(10 ** 5)]",
    "while True:\n    print('x' * 1000)",
    "print('x' * 50000000)",
    "'x' * 50000000",
    "b'x' * (1 << 40)",
    "('a' * 10 ** 7).count('a' * 10 ** 6 + 'b')",
    "'\\ud800'",
    "print('\\ud800')",
]
PATTERNS: Final = [
    "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')",
    "import re\nre.match(r'(a|aa)+$', 'a' * 60 + 'b')",
    "import re\nre.match(r'(.*)*x', 'a' * 60)",
    "import re\nre.match(r'(a|a)*b', 'a' * 50)",
    "import re\nre.compile('a{{1,1000}}{{1,1000}}{{1,1000}}')",
    "import re\nre.search(r'(x+x+)+y', 'x' * 50)",
    "import re\nre.sub(r'', 'x' * 10 ** 6, 'y' * 10 ** 6)",
    "import re\nre.match('(' * 3000 + ')' * 3000, '')",
    "import re\nre.match(r'(?=(a+)+$)(b+)', 'a' * 45 + 'b')",
    "import re\nre.findall(r'(?:(?:a*)*)*b', 'a' * 40)",
]
GENERATORS: Final = [
    "def g():\n    while True:\n        yield 1\nlist(g())",
    "def g():\n    while True:\n        yield 1\nmax(g())",
    "def g():\n    yield from g()\nlist(g())",
    "list(iter(int, 1))",
    "all(True for _ in iter(int, 1))",
    "sum(1 for i in range(10 ** 12))",
    "sorted(range(10 ** 9))",
    "set(range(10 ** 9))",
    "any(False for _ in range(10 ** 13))",
    "dict(zip(range(10 ** 9), range(10 ** 9)))",
    "[x for x in range(10 ** 6) for y in range(10 ** 6)]",
    "import itertools\nlist(itertools.count())",
    "import itertools\nsum(itertools.repeat(1))",
    "import itertools\nlist(itertools.product(range(1000), repeat=5))",
    "import asyncio\nasync def f():\n    while True:\n        await asyncio.sleep(0)\nasyncio.run(f())",
    "import time\nwhile True:\n    time.sleep(1)",
    "max(range(10 ** 13))",
    "10 ** 13 in [x for x in range(10 ** 13)]",
    "tuple(reversed(range(10 ** 10)))",
]
CAUGHT: Final = [
    "while True:\n    try:\n        x = 'a' * 10 ** 12\n    except BaseException:\n        pass",
    "def f():\n    try:\n        f()\n    except BaseException:\n        f()\nf()",
    "try:\n    while True:\n        pass\nexcept BaseException:\n    while True:\n        pass",
    "while True:\n    try:\n        open('{canary}/secret')\n    except BaseException:\n        pass",
    "try:\n    raise ValueError\nfinally:\n    while True:\n        pass",
]
GROUPS: Final = {
    "files": [*FILES, *MORE_FILES],
    "network": [*NETWORK, *MORE_NETWORK],
    "processes": PROCESSES,
    "memory": MEMORY,
    "loops": LOOPS,
    "looking around": LOOKING,
    "recursion": RECURSION,
    "numbers": NUMBERS,
    "texts": TEXTS,
    "patterns": PATTERNS,
    "generators": GENERATORS,
    "caught": CAUGHT,
}


def filled(program: str, canary: str, port: int) -> str:
    """Return a program with the places that it is to reach."""
    known = {"{canary}": canary, "{mark}": f"{canary}/mark", "{port}": str(port), "{{": "{", "}}": "}"}
    for name, value in known.items():
        program = program.replace(name, value)
    return program
