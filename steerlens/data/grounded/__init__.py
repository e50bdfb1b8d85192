"""Items made from open data, with the grammar of every locale: ``python -m steerlens.data.grounded`` writes them anew.

The atlas ships the written files, so nothing here is needed to use it, and no package that the data come from.
"""
