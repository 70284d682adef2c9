"""A job's model taken away: its file, rows made its inputs, predictions.

Needs numpy, safetensors and pydantic.

read_model   the file's bytes -> Model
  describe   its metadata: columns, inputs, classes, link (file.py)
  network    its tensors: inputs -> outputs (networks.py; plugins.py with torch)
Model        rows -> columns (tables.py) -> inputs (preparation.py) -> outputs -> predictions
"""
