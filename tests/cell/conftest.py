import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bare import Pair  # noqa: E402


@pytest.fixture(scope="module")
def bare():
    """Two bare hosts, for one file of tests."""
    pair = Pair()
    yield pair
    pair.done()


@pytest.fixture(scope="module")
def made(bare):
    """The same, provisioned."""
    bare.provision()
    return bare
