"""One step of SGD, Adam or AdamW for many models at once, with its proximal step."""
