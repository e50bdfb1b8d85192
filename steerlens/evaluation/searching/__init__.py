"""The search for steering plans: the layers, strengths and tokens of the vectors are chosen by cross-fitting on train and
dev."""
