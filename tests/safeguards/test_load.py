"""Load over a window: CPU of the processors there are, errors of the frames there were."""

from nissa.safeguards.load import LoadSample, LoadWindow


def test_cpu_is_a_share_of_all_processors_over_the_window() -> None:
    """Nothing is said before the window is full; then old readings leave it."""
    window = LoadWindow(10_000, 2.0)
    assert window.add(LoadSample(0, 0.0, 0, 0)) == (0.0, 0.0)
    assert window.add(LoadSample(5_000, 10.0, 0, 0)) == (0.0, 0.0)
    assert window.add(LoadSample(10_000, 20.0, 0, 0)) == (100.0, 0.0)
    assert window.add(LoadSample(20_000, 20.0, 0, 0)) == (0.0, 0.0)
    assert window.add(LoadSample(30_000, 25.0, 0, 0)) == (25.0, 0.0)


def test_errors_are_a_share_of_frames() -> None:
    """Failures of the window count where there were enough frames; old ones leave it."""
    window = LoadWindow(10_000, 1.0)
    window.add(LoadSample(0, 0.0, 100, 7))
    assert window.add(LoadSample(500, 0.0, 109, 16)) == (0.0, 0.0)
    assert window.add(LoadSample(1_000, 0.0, 110, 17)) == (0.0, 50.0)
    assert window.add(LoadSample(11_000, 0.0, 210, 17)) == (0.0, 0.0)
