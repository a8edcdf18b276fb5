import pytest

from fusiform.errors import MissingExtraError, UnknownNameError
from fusiform.registry import KINDS, find, names, need


def test_every_registered_name_can_be_imported():
    for kind in KINDS:
        assert names(kind)
        for name in names(kind):
            assert callable(find(kind, name))


def test_unknown_names_get_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"unknown dataset 'alise' \(did you mean 'alice'\?\); there are: .*alice"
    ):
        find("dataset", "alise")
    with pytest.raises(UnknownNameError, match="unknown metric 'qqq'; there are"):
        find("metric", "qqq")


def test_a_missing_package_comes_with_the_line_that_installs_it():
    with pytest.raises(MissingExtraError, match=r"pip install 'fusiform\[reconstruct\]'"):
        need("no_such_package_at_all", extra="reconstruct")


def test_a_broken_package_counts_as_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('operator nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match="operator nms"):
        need("broken_package", extra="models")
