"""What pictures of an answer need and only its lease can know; no choice rests on any of it.

Each part is a module of its own, raises Absent where there is nothing to show, and takes little
beside the answer:

    shown = trained_parts(evidence, refits, prepared, training)  # before the seal is opened
    shown = with_sealed(shown, sealed, role, choice)

learning.py, weights.py and flicker.py train a little; roc.py and calibration.py are for sealed.py.
"""
