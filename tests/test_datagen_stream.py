import numpy as np

from datagen.stream import Stream


def test_many_units_are_the_units_one_by_one():
    one, many = Stream(3, 1, 4), Stream(3, 1, 4)
    singles = [one.unit() for _ in range(100)]
    assert np.array_equal(many.units(100), singles)
    assert many.word() == one.word()
