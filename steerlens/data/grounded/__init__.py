"""Rows of the atlas made from open data; needs the packages that the rows name as their source."""
