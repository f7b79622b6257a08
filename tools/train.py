"""Train a recognizer: python tools/train.py configs/stgcn_fall.py."""

import argparse

from falldet.runtime import signals as cli


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(
        description="Train a recognizer; checkpoints, pictures and metrics.json go into the work dir.",
        epilog="example: python tools/train.py configs/stgcn_fall.py --cfg-options train_cfg.max_epochs=20",
    )
    parser.add_argument("config", help="config of the run, such as configs/stgcn_fall.py")
    parser.add_argument("--work-dir", help="where everything goes (default: work_dirs/<name of the config>)")
    parser.add_argument("--ann-file", nargs="+", default=(), help="annotation files instead of the config's")
    parser.add_argument("--add-ann-file", nargs="+", default=(), help="annotation files to train on besides")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in the work dir")
    parser.add_argument("--launcher", choices=("none", "pytorch"), default="none", help="pytorch: started by torchrun")
    parser.add_argument("--seed", type=int, help="seed instead of the config's")
    parser.add_argument("--cfg-options", nargs="+", default=(), metavar="KEY=VALUE", help="settings to replace")
    args = parser.parse_args()

    from falldet.openmmlab.training import train

    train(
        args.config,
        work_dir=args.work_dir,
        resume=args.resume,
        launcher=args.launcher,
        seed=args.seed,
        overrides=args.cfg_options,
        ann_files=args.ann_file,
        more_ann_files=args.add_ann_file,
    )


if __name__ == "__main__":
    cli.run(main)
