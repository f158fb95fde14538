"""Shapes and types as annotated, checked at every call while the tests run (conftest.py)."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do for a float
