"""segbench: ablation studies of image segmentation, from one YAML file to a report."""

__version__ = "0.1.0"
