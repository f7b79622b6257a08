"""The warnings of the libraries that are silenced, and those that are not."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

from falldet.openmmlab.logs import quiet_libraries

pytestmark = pytest.mark.openmmlab


def test_quiet_libraries_silences_deprecations_but_no_other_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet_libraries()
        warnings.warn("old function", DeprecationWarning, stacklevel=1)
        warnings.warn("wrong shape", RuntimeWarning, stacklevel=1)
    assert [str(each.message) for each in caught] == ["wrong shape"]
