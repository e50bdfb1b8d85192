"""Items of the atlas made from open data and each locale's grammar; ``python -m steerlens.data.grounded`` writes them again."""
