"""Makes the items of the atlas that come from open data, in the grammar of each locale. ``python -m steerlens.data.grounded``
writes these items again."""
