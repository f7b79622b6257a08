"""Print the configuration of the pipeline as a TOML file, every value with a comment."""

from __future__ import annotations

import argparse
import sys

from falldet.cli import options
from falldet.cli.process import EXIT_OK

EXAMPLES = """\
  falldet config > my.toml                                # then: falldet demo video.mp4 --config my.toml
  falldet config --cfg-options events.alert_threshold=0.9
  falldet config --docs                                   # as Markdown tables
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--docs", action="store_true", help="print Markdown tables of the defaults instead")
    options.add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the defaults, or the configuration that the options ask for."""
    from falldet.pipeline.config import Config
    from falldet.pipeline.config_text import as_markdown, as_toml

    if arguments.docs:
        sys.stdout.write(as_markdown())
    elif arguments.config:
        sys.stdout.write(as_toml(options.config_from(arguments)))
    else:
        sys.stdout.write(as_toml(Config().with_overrides(arguments.cfg_options)))
    return EXIT_OK
