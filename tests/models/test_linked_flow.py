from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from refine_motion.errors import ConfigError, VideoError
from refine_motion.models.base import FlowModel, FrameFeatures
from refine_motion.models.linked_flow import LinkedFlow

HEIGHT, WIDTH = 20, 30
Field = Callable[[int, int], Tensor]


class Told(FlowModel):
    """Flow between two frames as a function of their numbers, which the first pixel of each frame tells."""

    name, stride, min_side = "told", 1, 1

    def __init__(self, field: Field):
        super().__init__()
        self.field, self.asked, self.encoded = field, [], 0
        self.nothing = nn.Parameter(torch.zeros(1))

    def encode(self, frames: Tensor) -> FrameFeatures:
        self.encoded += len(frames)
        return FrameFeatures(frames.float(), frames.float(), (HEIGHT, WIDTH))

    def match_both(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, tolerance: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        a, b = (int(features.matching[0, 0, 0, 0]) for features in (features_a, features_b))
        self.asked.append((a, b))
        return self.field(a, b)[None], self.field(b, a)[None]

    def match(self, *args: object) -> list[Tensor]:
        raise AssertionError("both ways are asked for at once")

    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        raise AssertionError("frames are encoded once, and their features matched")


def video(count: int) -> Tensor:
    frames = torch.zeros(count, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    frames[:, 0, 0, 0] = torch.arange(count)
    return frames


def uniform(x: float, y: float) -> Tensor:
    return torch.tensor([x, y]).view(2, 1, 1).expand(2, HEIGHT, WIDTH).clone()


def straight(a: int, b: int) -> Tensor:
    return uniform(1.0 * (b - a), -0.5 * (b - a))


def test_motion_that_is_told_is_followed() -> None:
    queries = torch.tensor([[0.0, 3, 15], [4, 10.5, 12.25]])
    tracks = LinkedFlow(Told(straight)).track(video(9), queries)
    for n, (start, x, y) in enumerate(queries.tolist()):
        start = int(start)
        time = torch.arange(9 - start)
        wanted = torch.stack((x + time, y - 0.5 * time), dim=1)
        torch.testing.assert_close(tracks.xy[start:, n], wanted)
        assert tracks.xy[:start, n].isnan().all()
        assert tracks.visible[:, n].tolist() == [False] * start + [True] * (9 - start)
        assert (tracks.confidence[start:, n] == 1).all()
    assert (tracks.cycle_error == 0).all()


def test_each_frame_is_encoded_once_and_few_pairs_are_matched() -> None:
    flow = Told(straight)
    LinkedFlow(flow, distances=(1, 3)).track(video(10), torch.tensor([[0.0, 3, 15]]))
    assert flow.encoded == 10
    # Over 1 and 3 frames, and from the frame of the query after 8.
    assert sorted(flow.asked) == sorted(
        [(t - 1, t) for t in range(1, 10)] + [(t - 3, t) for t in range(3, 10)] + [(0, 8)]
    )


def test_flow_from_the_query_mends_the_drift_of_chained_flow() -> None:
    def drifting(a: int, b: int) -> Tensor:
        """0.2 px off over one frame; back and forth differ by 0.1 px, whatever the time between."""
        return straight(a, b) + uniform((0.2 * (b - a) if abs(b - a) == 1 else 0) + (0.1 if b > a else 0), 0)

    queries = torch.tensor([[0.0, 3, 15], [1, 3, 15]])
    tracks = LinkedFlow(Told(drifting), (1,)).track(video(9), queries)
    assert tracks.xy[7, 0].tolist() == pytest.approx([3 + 7 * 1.3, 15 - 3.5], abs=1e-4)
    assert tracks.xy[8, 0].tolist() == pytest.approx([3 + 8 + 0.1, 15 - 4], abs=1e-4)
    assert tracks.cycle_error[8, 0] == pytest.approx(0.1, abs=1e-4)
    assert tracks.xy[8, 1].tolist() == pytest.approx([3 + 7 * 1.3, 15 - 3.5], abs=1e-4)
    assert tracks.confidence[8, 1] < tracks.confidence[8, 0]


def test_a_point_does_not_depend_on_the_others() -> None:
    def noisy(a: int, b: int) -> Tensor:
        return straight(a, b) + uniform(0.01 * ((3 * a + 7 * b) % 11), 0.01 * ((5 * a + 2 * b) % 7))

    queries = torch.tensor([[float(n), 3 + n, 15] for n in range(7)])
    together = LinkedFlow(Told(noisy)).track(video(20), queries)
    for n, query in enumerate(queries):
        alone = LinkedFlow(Told(noisy)).track(video(20), query[None])
        for name in ("xy", "visible", "confidence", "cycle_error"):
            found, wanted = getattr(alone, name)[:, 0], getattr(together, name)[:, n]
            torch.testing.assert_close(found, wanted, equal_nan=True)


def test_hidden_points_come_back() -> None:
    def hidden(a: int, b: int) -> Tensor:
        """Frames 3 and 4 show nothing of the point: no way there leads back."""
        if {a, b} & {3, 4} and b in (3, 4):
            return straight(a, b) + 5
        return straight(a, b)

    tracks = LinkedFlow(Told(hidden), (1, 2, 4)).track(video(8), torch.tensor([[0.0, 3, 15]]))
    assert tracks.visible[:, 0].tolist() == [True] * 3 + [False] * 2 + [True] * 3
    assert tracks.xy[7, 0].tolist() == pytest.approx([10, 11.5], abs=1e-4)
    assert (tracks.confidence[5:, 0] < 1).all()
    assert (tracks.confidence[5:, 0] > 0.5).all()


def test_what_leaves_the_frame_is_hidden() -> None:
    tracks = LinkedFlow(Told(straight), (1,)).track(video(9), torch.tensor([[0.0, 25, 15]]))
    assert tracks.visible[:, 0].tolist() == [True] * 5 + [False] * 4
    assert tracks.xy[8, 0, 0] == 33


def test_a_single_frame() -> None:
    tracks = LinkedFlow(Told(straight)).track(video(1), torch.tensor([[0.0, 5, 6]]))
    assert tracks.xy.tolist() == [[[5, 6]]]


def test_errors() -> None:
    model = LinkedFlow(Told(straight))
    with pytest.raises(ConfigError, match="outside the frames, which are 30 x 20"):
        model.track(video(2), torch.tensor([[0.0, 30, 5]]))
    with pytest.raises(ConfigError, match="frame 2, but the video has frames 0 to 1"):
        model.track(video(2), torch.tensor([[2.0, 3, 5]]))
    with pytest.raises(VideoError, match="without frames"):
        model.track(video(0), torch.tensor([[0.0, 3, 5]]))
    with pytest.raises(ConfigError, match="distances"):
        LinkedFlow(Told(straight), (2, 4))
