"""A torch network as the contents of an ONNX file, known to give the network's own answers in OpenVINO."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import openvino
import torch
from torch import Tensor, nn

import falldet
from falldet.errors import FalldetError

OPSET = 17


def as_onnx(
    network: nn.Module, example: Tensor, names: Sequence[str], batched: bool, metadata: Mapping[str, str]
) -> bytes:
    """Return the network as ONNX, with metadata whose keys begin with `falldet.`, and the version that wrote it.

    Args:
        network: in evaluation mode.
        example: an input.
        names: of the input and then of the outputs.
        batched: whether the first axis of all of them may have another length.
        metadata: what whoever runs the file must know.
    """
    buffer = io.BytesIO()
    first, *outputs = names
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's notes on shapes that are constant here
        torch.onnx.export(
            network,
            (example,),
            buffer,
            dynamo=False,  # the newer exporter needs one more package
            opset_version=OPSET,
            input_names=[first],
            output_names=outputs,
            dynamic_axes={name: {0: "people"} for name in names} if batched else {},
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    for key, value in {**metadata, "version": falldet.__version__}.items():
        model.metadata_props.add(key=f"falldet.{key}", value=value)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def check_parity(network: nn.Module, content: bytes, examples: Sequence[Tensor], tolerance: float) -> None:
    """Compare OpenVINO's answers with the network's own.

    Args:
        network: what was exported.
        content: what `as_onnx` gave.
        examples: inputs to try.
        tolerance: largest difference allowed, for answers beyond 1 as a part of the largest.

    Raises:
        FalldetError: they differ more.
    """
    core = openvino.Core()
    model = core.read_model(content)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    for example in examples:
        with torch.no_grad():
            answers = network(example)
        found = compiled([example.numpy()])
        for number, answer in enumerate(answers if isinstance(answers, tuple) else (answers,)):
            expected = answer.numpy()
            difference = float(np.abs(found[number] - expected).max()) / max(1.0, float(np.abs(expected).max()))
            if not difference <= tolerance:
                raise FalldetError(
                    f"the exported network differs from the trained one by {difference:.2g} for an input of shape "
                    f"{tuple(example.shape)} (allowed: {tolerance:g}); nothing was written"
                )
