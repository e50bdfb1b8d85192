"""Items of the atlas that are made from open data and each locale's grammar. ``python -m steerlens.data.grounded`` writes them
again."""
