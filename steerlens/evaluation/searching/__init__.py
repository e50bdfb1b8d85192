"""The search: layers, strengths and tokens of both vectors, chosen by cross-fitting on train and dev."""
