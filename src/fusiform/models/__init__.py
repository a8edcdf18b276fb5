"""Models learn to predict responses from features, or features from responses: `fit(X, Y)`, `predict(X)`.

Each model is a module of its own, imported when it is asked for: they bring torch and scikit-learn.
"""
