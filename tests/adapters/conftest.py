import pytest


@pytest.fixture(autouse=True, scope="session")
def pystow_home(tmp_path_factory):
    """PyKEEN keeps its files in a folder of this run."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PYSTOW_HOME", str(tmp_path_factory.mktemp("pystow")))
    yield
    patch.undo()
