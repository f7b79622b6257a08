"""Export of a torch network as ONNX, and the comparison of its outputs in OpenVINO with the network's own."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from torch import Tensor, nn

import falldet
from falldet.errors import FalldetError
from falldet.models.openvino import METADATA_PREFIX, compile_options, openvino_core

OPSET = 17


def as_onnx(
    network: nn.Module, example: Tensor, names: Sequence[str], batched: bool, metadata: Mapping[str, str]
) -> bytes:
    """Return the network as ONNX, with the metadata and falldet's version under keys that begin with `falldet.`.

    Args:
        network: in evaluation mode.
        example: an input.
        names: of the input, then of the outputs.
        batched: True where the first axis of all of them is of variable length.
        metadata: entries by key, without the prefix; what is needed to run the file.
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
        model.metadata_props.add(key=f"{METADATA_PREFIX}{key}", value=value)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def check_parity(network: nn.Module, content: bytes, examples: Sequence[Tensor], tolerance: float) -> None:
    """Compare the outputs of an exported network in OpenVINO with those of the network in torch.

    Args:
        network: the exported network.
        content: its ONNX file, of `as_onnx`.
        examples: inputs to compare on.
        tolerance: largest difference allowed; relative to the largest output where that exceeds 1.

    Raises:
        FalldetError: an output differs more.
    """
    core = openvino_core()
    compiled = core.compile_model(core.read_model(content), "CPU", compile_options("f32", threads=1))
    for example in examples:
        with torch.no_grad():
            outputs = network(example)
        found = compiled([example.numpy()])
        for index, output in enumerate(outputs if isinstance(outputs, tuple) else (outputs,)):
            expected = output.numpy()
            difference = float(np.abs(found[index] - expected).max()) / max(1.0, float(np.abs(expected).max()))
            if not difference <= tolerance:
                raise FalldetError(
                    f"the exported network differs from the trained one by {difference:.2g} for an input of shape "
                    f"{tuple(example.shape)} (allowed: {tolerance:g}); nothing was written"
                )
