"""Customs about money, from the CLDR data in babel: the currency of each country, and how a price is written."""

from collections.abc import Iterator

from babel.numbers import format_currency, get_currency_symbol, get_territory_currencies

from steerlens.data.grounded.customs_base import Custom, Owner, as_written, by_owner, cldr, from_package, plain, term
from steerlens.data.grounded.customs_writing import own_digits

PRICE = 25_000


def money() -> Iterator[Custom]:
    """Yields the customs about money."""
    codes = by_owner(lambda one: _currency(one.territory))
    territories = from_package("babel", "CLDR currency of the territory")
    yield Custom("custom-currency", "money", territories, by_owner(lambda one: one.currency_unit), term)
    yield Custom("custom-currency-code", "money", territories, codes, as_written)
    symbols = {at: plain(get_currency_symbol(code, cldr(at))) for at, code in codes.items()}
    source = from_package("babel", "CLDR currency symbol in the country's own locale")
    yield Custom("custom-currency-symbol", "money", source, symbols, as_written)
    prices = by_owner(lambda one: _price(one, codes[one.code]))
    source = from_package("babel", f"CLDR currency format of {PRICE} without decimals")
    yield Custom("custom-price", "money", source, prices, as_written)


def _currency(territory: str) -> str:
    return str(get_territory_currencies(territory)[0])


def _price(owner: Owner, code: str) -> str:
    data = cldr(owner.code)
    whole = str(data.currency_formats["standard"].pattern).replace(".00", "")
    text = format_currency(PRICE, code, whole, data, currency_digits=False, numbering_system="default")
    return own_digits(owner, plain(text))
