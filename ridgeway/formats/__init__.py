"""A job's model in the forms that others read, and the card that says what it is.

names         the formats: how they are called, their files
rendered      a model's file -> the bytes of a format
  onnx_file   ONNX: raw columns in, predictions out (graph.py builds it, activations.py)
  pipeline    a scikit-learn pipeline of a linear model, through skops
  card        the model card, from the job's answer

onnx, scikit-learn and skops (`ridgeway[formats]`) are imported by those who are asked for them.
"""
