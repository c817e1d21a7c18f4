"""Names that the docstring examples use without importing them."""

import pytest


@pytest.fixture(autouse=True)
def example_names(doctest_namespace):
    import modeling_holmes_vau

    doctest_namespace.update({name: getattr(modeling_holmes_vau, name) for name in modeling_holmes_vau.__all__})
