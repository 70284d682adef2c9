"""Ridgeway as scikit-learn estimators: a whole job in `fit`, in this process, without a server.

    from ridgeway.sklearn import RidgewayClassifier

    model = RidgewayClassifier(n_trials=100, random_state=0).fit(X, y)
    model.predict(X_new), model.verdict_.sentence

fit      X, y, weights, groups -> a table and what its columns are (rows.py) -> a job (local/)
results  the answer in scikit-learn's words (results.py)
"""

from ridgeway.sklearn.estimators import RidgewayClassifier, RidgewayRegressor
from ridgeway.sklearn.rows import RidgewayWarning

__all__ = ["RidgewayClassifier", "RidgewayRegressor", "RidgewayWarning"]
