"""``refine-motion export``: weights as safetensors, for this package, the official code or torchvision."""

from __future__ import annotations

import argparse

from refine_motion.models.export import NAMINGS, OWN, Exported, export_weights

_LOAD = {
    "own": "refine_motion.load_model({model!r}, weights={path!r})",
    "official": "RAFT(args).load_state_dict(safetensors.torch.load_file({path!r}))",
    "torchvision": "torchvision.models.optical_flow.{model}().load_state_dict(safetensors.torch.load_file({path!r}))",
}


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``export``.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend; the caller prints it.
    """
    options = _parser().parse_args(args)
    print(_line(export_weights(options.checkpoint, options.out, options.keys, options.model, options.half)))
    return 0


def _line(done: Exported) -> str:
    load = _LOAD[done.keys].format(model=done.model, path=str(done.path))
    size = f"{done.tensors} tensors, {done.path.stat().st_size:,} bytes"
    return f"{done.path}: {done.model}, {done.keys} keys, {size}; load with {load}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refine-motion export",
        description="Write weights as safetensors under the parameter names that another code wants, and read the file "
        "back strictly.",
    )
    parser.add_argument("checkpoint", metavar="CKPT", help="a .ckpt, .safetensors or .pth file, or a name")
    parser.add_argument("out", metavar="OUT", help="the .safetensors file to write")
    parser.add_argument(
        "--keys",
        choices=NAMINGS,
        default=OWN,
        help="names: ours, those of the official RAFT code (without its `module.`), or torchvision's (%(default)s)",
    )
    parser.add_argument("--model", help="architecture, e.g. raft_small; recognised from the weights when not given")
    parser.add_argument("--half", action="store_true", help="in float16, half the size; the float32 model loads it")
    return parser
