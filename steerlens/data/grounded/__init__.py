"""Makes the items of the atlas that come from open data and each locale's grammar. ``python -m steerlens.data.grounded`` writes
the items again."""
