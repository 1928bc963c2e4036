"""WebShop: find, compare and buy a product that an instruction describes."""
