"""Annotation files: round trip, every rule, and pickles that try to run code."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from falldet.data import annotations
from falldet.data.annotations import check_annotations, dump_annotations, load_annotations
from falldet.errors import FalldetError


def clip(name: str = "a", label: int = 1, frames: int = 5, people: int = 1, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(frames)
    return {
        "frame_dir": name,
        "label": label,
        "img_shape": (240, 320),
        "original_shape": (240, 320),
        "total_frames": frames,
        "keypoint": rng.uniform(0, 240, (people, frames, 17, 2)).astype(np.float32),
        "keypoint_score": rng.uniform(0, 1, (people, frames, 17)).astype(np.float32),
        "time_s": np.arange(frames) / 30,
        "fall_intervals": [[0.1, 0.15]] if label else [],
        "subject": "s" + name,
        "source": "test",
    } | changes


def contents(**changes: Any) -> dict[str, Any]:
    return {"split": {"train": ["a"], "test": ["b"]}, "annotations": [clip("a"), clip("b", 0, frames=7)]} | changes


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_load_annotations_reads_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "falls.pkl"
    path.write_bytes(pickle.dumps(contents(), protocol=protocol))
    loaded = load_annotations(path)
    assert loaded["split"] == {"train": ["a"], "test": ["b"]}
    for found, expected in zip(loaded["annotations"], contents()["annotations"], strict=True):
        assert list(found) == list(expected)
        for key in expected:
            np.testing.assert_array_equal(found[key], expected[key])
        assert type(found["keypoint"]) is np.ndarray
        assert found["keypoint"].flags.writeable


def test_load_annotations_reads_both_spellings_of_numpy_core(tmp_path: Path) -> None:
    old = pickle.dumps(contents(), protocol=2).replace(b"numpy._core", b"numpy.core")
    new = old.replace(b"cnumpy.core.", b"cnumpy._core.")
    assert old != new
    for content in (old, new):
        (tmp_path / "x.pkl").write_bytes(content)
        assert len(load_annotations(tmp_path / "x.pkl")["annotations"]) == 2


def test_load_annotations_reads_column_major_arrays_and_numpy_scalars(tmp_path: Path) -> None:
    expected = clip()
    given = clip(label=np.int64(1), keypoint=np.asfortranarray(expected["keypoint"]), total_frames=np.int32(5))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"split": {}, "annotations": [given]}))
    (found,) = load_annotations(tmp_path / "x.pkl")["annotations"]
    np.testing.assert_array_equal(found["keypoint"], expected["keypoint"])
    assert found["keypoint"].flags.c_contiguous
    assert type(found["label"]) is int


def test_dump_annotations_writes_what_plain_pickle_reads(tmp_path: Path) -> None:
    dump_annotations(contents(), tmp_path / "new folder" / "falls.pkl")
    plain = pickle.loads((tmp_path / "new folder" / "falls.pkl").read_bytes())
    np.testing.assert_array_equal(plain["annotations"][1]["keypoint"], contents()["annotations"][1]["keypoint"])


def test_dump_annotations_gives_equal_bytes_for_equal_contents(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("1.pkl", "2.pkl", "3.pkl"))
    dump_annotations(contents(), first)
    shuffled = contents(split={"test": ["".join("b")], "train": ["".join(["a"])]})
    shuffled["annotations"] = [dict(reversed(one.items())) for one in shuffled["annotations"]]
    dump_annotations(shuffled, second)
    dump_annotations(load_annotations(first), third)
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()


def test_dump_annotations_writes_nothing_when_the_contents_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "falls.pkl"
    dump_annotations(contents(), path)
    before = path.read_bytes()
    with pytest.raises(FalldetError):
        dump_annotations(contents(annotations=[clip(label=2)]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_dump_annotations_leaves_the_old_file_when_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "falls.pkl"
    path.write_bytes(b"old")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(annotations.pickle, "dump", fail)
    with pytest.raises((FalldetError, KeyboardInterrupt), match=r"No space left|^$"):
        dump_annotations(contents(), path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_load_annotations_names_the_command_that_makes_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match=r"no annotation file .*falls\.pkl; make it with `python tools/extract_kpts"):
        load_annotations(tmp_path / "falls.pkl")


def test_load_annotations_refuses_a_folder_and_a_huge_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FalldetError, match="can't read"):
        load_annotations(tmp_path)
    dump_annotations(contents(), tmp_path / "x.pkl")
    monkeypatch.setattr(annotations, "MAX_FILE_BYTES", 100)
    with pytest.raises(FalldetError, match="is not read"):
        load_annotations(tmp_path / "x.pkl")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80\x04", pickle.dumps(contents())[:-100], b"\x80\x04\x8e" + b"\xff" * 8]
)
def test_load_annotations_tells_of_an_incomplete_pickle_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(FalldetError, match=r"x\.pkl is no complete pickle"):
        load_annotations(tmp_path / "x.pkl")


class Call:
    """Pickled as a call of `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def evil_pickles(marker: Path) -> dict[str, Any]:
    write = f"open({str(marker)!r}, 'w').close()"
    array = np.zeros(3, dtype=np.float32)
    reconstruct, arguments = array.__reduce__()[:2]
    return {
        "os.system": Call(os.system, f"touch {marker}"),
        "eval": Call(eval, write),
        "exec": Call(exec, write),
        "open": Call(open, str(marker), "w"),
        "getattr": Call(getattr, "x", "upper"),
        "partial": Call(partial, os.system),
        "in a dict": {"split": {}, "annotations": [clip(source=Call(eval, write))]},
        "in an object array": np.array([Call(eval, write)], dtype=object),
        "object array": np.array([None, "x"], dtype=object),
        "object scalar": Call(np.core.multiarray.scalar, np.dtype(object), Call(eval, write)),
        "structured array": np.zeros(2, dtype=[("x", "f4")]),
        "string array": np.array(["x"]),
        "instance": FalldetError("x"),
        "class": builtins.dict,
        "path": marker,
        "ndarray over foreign memory": Call(np.ndarray, (8,), "O", b"\x41" * 64),
        "huge ndarray": Call(np.ndarray, (1 << 50,)),
        "array bytes too short": Call(reconstruct, *arguments, state=(1, (99,), np.dtype("f4"), False, b"\0" * 12)),
        "array of negative shape": Call(reconstruct, *arguments, state=(1, (-3,), np.dtype("f4"), False, b"\0" * 12)),
        "array with a list": Call(reconstruct, *arguments, state=(1, (3,), np.dtype("f4"), False, [1, 2, 3])),
        "array with a made-up dtype": Call(reconstruct, *arguments, state=(1, (3,), "f4", False, b"\0" * 12)),
    }


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("name", list(evil_pickles(Path("x"))))
def test_load_restricted_refuses_a_pickle_with_more_than_data_before_it_runs(
    tmp_path: Path, name: str, protocol: int
) -> None:
    marker = tmp_path / "executed"
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(evil_pickles(marker)[name], protocol=protocol))
    with pytest.raises(FalldetError, match=r"x\.pkl (is refused, it holds|is no complete pickle)"):
        load_annotations(tmp_path / "x.pkl")
    assert not marker.exists()


def test_load_restricted_lets_no_file_change_its_replacements(tmp_path: Path) -> None:
    # GLOBAL numpy.dtype, then BUILD with attributes to set on what came back.
    (tmp_path / "x.pkl").write_bytes(b"cnumpy\ndtype\n(N(dV_function\nNstb.")
    with pytest.raises(FalldetError, match="a change of a numpy function"):
        load_annotations(tmp_path / "x.pkl")
    dump_annotations(contents(), tmp_path / "y.pkl")
    assert load_annotations(tmp_path / "y.pkl")


def test_load_restricted_refuses_a_reference_to_the_outside(tmp_path: Path) -> None:
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream)
    pickler.persistent_id = lambda value: "secret" if value == 7 else None  # type: ignore[method-assign]
    pickler.dump([7])
    (tmp_path / "x.pkl").write_bytes(stream.getvalue())
    with pytest.raises(FalldetError, match="a reference to the outside"):
        load_annotations(tmp_path / "x.pkl")


nan = np.full((1, 5, 17, 2), np.nan, dtype=np.float32)

WRONG_CLIPS = {
    r"label must be a whole number, got 1\.0": {"label": 1.0},
    r"label must be a whole number, got True": {"label": True},
    r"label = 2 must be 1 \(fall\) or 0": {"label": 2},
    r"total_frames = 4, but keypoint has T = 5": {"total_frames": 4},
    r"keypoint must be an array of float32, got float16": {"keypoint": np.zeros((1, 5, 17, 2), np.float16)},
    r"keypoint must be an array of float32, got >f4": {"keypoint": np.zeros((1, 5, 17, 2), ">f4")},
    r"keypoint must be an array of float32, got list": {"keypoint": [[1, 2]]},
    r"keypoint must be \(M, T, 17, 2\).*got \(1, 5, 25, 2\)": {"keypoint": np.zeros((1, 5, 25, 2), np.float32)},
    r"keypoint must be \(M, T, 17, 2\).*got \(0, 5, 17, 2\)": {"keypoint": np.zeros((0, 5, 17, 2), np.float32)},
    r"keypoint must be \(M, T, 17, 2\).*got \(5, 17, 2\)": {"keypoint": np.zeros((5, 17, 2), np.float32)},
    r"keypoint holds a number that is not finite": {"keypoint": nan},
    r"keypoint_score must be \(1, 5, 17\) as keypoint is": {"keypoint_score": np.zeros((1, 4, 17), np.float32)},
    r"keypoint_score holds -1": {"keypoint_score": -np.ones((1, 5, 17), np.float32)},
    r"time_s must be \(5,\)": {"time_s": np.zeros(4)},
    r"time_s must be an array of float64, got float32": {"time_s": np.zeros(5, np.float32)},
    r"time_s\[2\] = 0 lies before": {"time_s": np.array([0.0, 0.1, 0.0, 0.2, 0.3])},
    r"img_shape must be \(height, width\)": {"img_shape": (0, 320)},
    r"img_shape must be a whole number": {"img_shape": (240.0, 320)},
    r"original_shape must be \(height, width\)": {"original_shape": 240},
    r"fall_intervals must be a list": {"fall_intervals": [[1]]},
    r"fall_intervals must be a list of .*got 'often'": {"fall_intervals": "often"},
    r"fall_intervals holds \[2\.0, 1\.0\]": {"fall_intervals": [[0, 1], [2, 1]]},
    r"label is 0 \(not a fall\), but fall_intervals": {"label": 0, "fall_intervals": [[0, 1]]},
    r"subject must be a string, got 7": {"subject": 7},
    r"unknown key 'times'; did you mean 'time_s'": {"times": 7},
    r"frame_dir must be a name, got ''": {"frame_dir": ""},
}


@pytest.mark.parametrize("message", list(WRONG_CLIPS))
def test_check_annotations_names_a_wrong_value_and_its_place(message: str) -> None:
    with pytest.raises(FalldetError, match=r"falls\.pkl: annotations\[0\].*" + message):
        check_annotations({"split": {}, "annotations": [clip(**WRONG_CLIPS[message])]}, "falls.pkl")


@pytest.mark.parametrize("key", annotations.REQUIRED_KEYS)
def test_check_annotations_names_a_missing_key(key: str) -> None:
    broken = clip()
    del broken[key]
    with pytest.raises(FalldetError, match=rf"annotations\[0\] has no '{key}'"):
        check_annotations({"split": {}, "annotations": [broken]}, "falls.pkl")


def test_check_annotations_lets_optional_keys_be_left_out() -> None:
    bare = {key: value for key, value in clip().items() if key in annotations.REQUIRED_KEYS}
    (found,) = check_annotations({"split": {}, "annotations": [bare]}, "falls.pkl")["annotations"]
    assert tuple(found) == annotations.REQUIRED_KEYS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": {"train": ["a", "c"]}}, r"split\['train'\] names 'c', which has no annotation"),
        ({"split": {"train": ["a"], "val": ["a"]}}, r"'a' of split\['val'\] is also in split\['train'\]"),
        ({"split": {"train": ["a", "a"]}}, r"'a' of split\['train'\] is listed twice"),
        ({"split": {"training": ["a"]}}, r"unknown split 'training'; write train, val, test"),
        ({"split": {"train": "a"}}, r"split\['train'\] must be a list"),
        ({"split": {"train": [["a"]]}}, r"which has no annotation"),
        ({"split": []}, r"'split' must be a dict"),
        ({"annotations": [clip("a"), clip("a"), clip("b")]}, r"frame_dir 'a' occurs 2 times"),
        ({"annotations": []}, r"must be a list of at least one clip"),
        ({"annotations": ["a"]}, r"annotations\[0\] must be a dict, got str"),
        ({"extra": 1}, r"must be a dict with the keys 'split' and 'annotations'"),
    ],
)
def test_check_annotations_names_a_wrong_list_or_split(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        check_annotations(contents(**changes), "falls.pkl")


@pytest.mark.parametrize("wrong", [None, [], "x", {"split": {}}])
def test_check_annotations_refuses_other_contents(wrong: Any) -> None:
    with pytest.raises(FalldetError, match="must be a dict with the keys"):
        check_annotations(wrong, "falls.pkl")


def laughs(levels: int = 60) -> Any:
    value: Any = ("ha", "ha")
    for _ in range(levels):
        value = (value, value)
    return value


def deep(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def pickled_with(**changes: Any) -> bytes:
    return pickle.dumps({"split": {"train": ["a"]}, "annotations": [clip("a", **changes)]})


def doubled(count: int) -> bytes:
    """Instructions that leave a tuple doubled `count` times on the stack."""
    return b"\x8c\x01a\x94" + b"".join(
        (b"h" + bytes([level]) + b"h" + bytes([level]) + b"\x86\x94") for level in range(count)
    )


HOSTILE = {
    "memo_index": b"\x80\x02Nr\xff\xff\xff\x0f.",
    "frame": b"\x80\x04\x95" + (1 << 60).to_bytes(8, "little") + b"N.",
    "bytes": b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"N.",
    "bytearray": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"N.",
    "text": b"\x80\x04\x8d" + (1 << 40).to_bytes(8, "little") + b"N.",
    "key_of_doubled_tuples": b"\x80\x04}" + doubled(60) + b"Ns.",
    "keys_of_doubled_tuples": b"\x80\x04}(" + doubled(60) + b"Nu.",
    "dict_of_doubled_tuples": b"\x80\x04(" + doubled(60) + b"Nd.",
    "set_of_doubled_tuples": b"\x80\x04\x8f(" + doubled(60) + b"\x90.",
    "frozenset_of_doubled_tuples": b"\x80\x04(" + doubled(60) + b"\x91.",
    "lists": b"\x80\x04(" + b"]" * 20_000_000 + b"l.",
    "dicts": b"\x80\x04(" + b"}" * 20_000_000 + b"l.",
    "marks": b"\x80\x04" + b"(" * 20_000_000 + b".",
    "pops": b"\x80\x04" + b"N0" * 20_000_000 + b"N.",
    "long_number": b"I" + b"9" * 2_000_000 + b"\n.",
    "dup": b"\x80\x04N2.",
    "extension": b"\x80\x04\x82\x01.",
    "new_object": b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93)\x81.",
    "split_of_doubled_tuples": pickle.dumps({"split": {"train": [laughs()]}, "annotations": [clip("a")]}),
    "intervals_of_doubled_tuples": pickled_with(fall_intervals=[laughs()]),
    "intervals_doubled": pickled_with(fall_intervals=laughs()),
    "shape_of_doubled_tuples": pickled_with(img_shape=(laughs(), 3)),
    "label_of_doubled_tuples": pickled_with(label=laughs()),
    "long_name": pickled_with(frame_dir=["\x1b" * 10**6]),
    "long_key": pickled_with(**{"k" * 10**6: 1, "fall_interval\x1b": 2}),
    "huge_number": pickled_with(total_frames=1 << 100_000),
    "deep_list": b"\x80\x04" + b"]" * 500_000 + b"a" * 499_999 + b".",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_load_annotations_refuses_a_hostile_pickle_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(HOSTILE[name])
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FalldetError) as caught:
        load_annotations(path)
    assert time.process_time() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 800_000  # kB
    assert len(str(caught.value)) < 500 + len(str(path))
    assert str(caught.value).isprintable()


def test_load_annotations_refuses_many_arrays_of_the_same_bytes(tmp_path: Path) -> None:
    content = b"\x80\x04\x8e" + (8 << 20).to_bytes(8, "little") + bytes(8 << 20) + b"\x94"
    content += b"\x8c\x12numpy._core.numeric\x8c\x0b_frombuffer\x93\x94".replace(b"\x12", b"\x13")
    content += b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02u1\x85R\x94"
    call = b"h\x01(h\x00h\x02J" + (8 << 20).to_bytes(4, "little") + b"\x85\x8c\x01CtR"
    (tmp_path / "x.pkl").write_bytes(content + b"(" + call * 1000 + b"l.")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FalldetError, match="arrays of far more bytes than the file"):
        load_annotations(tmp_path / "x.pkl")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_load_annotations_refuses_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.pkl")
    with pytest.raises(FalldetError, match="it is no file"):
        load_annotations(tmp_path / "x.pkl")


@pytest.mark.parametrize(
    ("keypoint", "img_shape", "message"),
    [
        (lambda xy: xy / (320, 240), (240, 320), "not in pixels; multiply x by the width"),
        (lambda xy: xy, (320, 240), r"lie outside img_shape = \(320, 240\).*write height first"),
        (lambda xy: xy * 4, (240, 320), "correct img_shape"),
    ],
)
def test_load_annotations_tells_joints_that_are_no_pixels_of_the_image(
    tmp_path: Path, rng: np.random.Generator, keypoint: Any, img_shape: tuple[int, int], message: str
) -> None:
    xy = rng.uniform((200, 60), (318, 230), (1, 5, 17, 2))
    (tmp_path / "x.pkl").write_bytes(pickled_with(keypoint=keypoint(xy).astype(np.float32), img_shape=img_shape))
    with pytest.raises(FalldetError, match=message):
        load_annotations(tmp_path / "x.pkl")


def test_load_annotations_reads_foreign_forms_without_loss(tmp_path: Path, rng: np.random.Generator) -> None:
    keypoint = rng.integers(1, 200, (1, 5, 17, 2)).astype(np.float64)
    score = np.full((1, 5, 17), 0.5)
    forms: list[dict[str, Any]] = [
        {"keypoint": keypoint.astype(kind), "keypoint_score": score.astype(np.float16)}
        for kind in (np.float16, np.float32, ">f4", np.float64, np.int16, np.int64)
    ]
    forms.append({"keypoint": np.concatenate([keypoint, score[..., None]], axis=3), "keypoint_score": None})
    for form in forms:
        foreign = {**clip("a"), **form, "valid": {0.5: 1.0}, "box_score": np.ones((1, 5)), "camera": 3}
        foreign = {key: value for key, value in foreign.items() if key not in ("original_shape", "total_frames")}
        (tmp_path / "x.pkl").write_bytes(pickle.dumps([foreign]))
        (found,) = load_annotations(tmp_path / "x.pkl")["annotations"]
        assert found["keypoint"].dtype == found["keypoint_score"].dtype == np.float32
        assert np.array_equal(found["keypoint"], keypoint)
        assert np.array_equal(found["keypoint_score"], score)
    (tmp_path / "x.pkl").write_bytes(pickled_with(keypoint=keypoint + 0.1))
    with pytest.raises(FalldetError, match="got float64; convert it"):
        load_annotations(tmp_path / "x.pkl")


def test_load_annotations_keeps_splits_of_other_names(tmp_path: Path) -> None:
    split = {"xsub_train": ["a"], "xset_train": ["a"]}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"split": split, "annotations": [clip("a")]}))
    assert load_annotations(tmp_path / "x.pkl")["split"] == split
