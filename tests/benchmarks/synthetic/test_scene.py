from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.looks.camera import Exposure, Sensor
from refine_motion.benchmarks.synthetic.scene import KeyPoint, Scene
from refine_motion.benchmarks.synthetic.shapes import Capsule
from refine_motion.benchmarks.synthetic.surface import Shadow
from refine_motion.benchmarks.synthetic.textures import random_texture
from refine_motion.benchmarks.synthetic.trajectory import Trajectory, Wave
from refine_motion.benchmarks.synthetic.warps import random_ripples
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.motion.grid import pixel_grid, warp
from tests.benchmarks.synthetic.made import (
    DOUBT,
    disc,
    distances,
    front,
    ground,
    in_float64,
    in_frame,
    instants,
    moving,
    own,
    plain,
    sure,
    well_inside,
    worlds,
)

SIZE = (72, 96)


class TestMotionByHand:
    @pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (0.37, -2.81), (-7.0, 3.3)])
    def test_translation_is_exact(self, x: float, y: float) -> None:
        scene = Scene(SIZE, (ground(),), camera=moving(-x, -y))
        flow, visible = scene.flow(2, 5)
        assert torch.allclose(flow, 3 * torch.tensor([x, y]).view(2, 1, 1).expand_as(flow), atol=1e-5)
        assert torch.equal(visible, in_frame(scene, pixel_grid(*SIZE) + flow))

    def test_whole_pixel_translation_moves_the_image(self) -> None:
        scene = Scene(SIZE, (ground(),), camera=moving(-3, -2))
        before, after = scene.render(0).int(), scene.render(1).int()
        assert (after[:, 2:, 3:] - before[:, :-2, :-3]).abs().max() <= 1

    @pytest.mark.parametrize("depth", [1.0, 1.7, 4.0])
    def test_camera_moves_what_is_far_less(self, depth: float) -> None:
        near = disc(9, moving(start=(-20, 0)))
        far = disc(9, moving(start=(20, 0)), depth=depth)
        scene = Scene(SIZE, (ground(depth=8.0), far, near), camera=moving(2.5, -1.5))
        flow, front = scene.flow(0, 1)[0], scene.layers(0)
        for order, surface in enumerate(scene.surfaces):
            expected = torch.tensor([[-2.5], [1.5]]) / surface.depth
            assert torch.allclose(flow[:, front == order], expected, atol=1e-5)

    def test_shake_moves_everything_alike(self) -> None:
        wave = Wave(0.0, 0.0, 2.0, 1.9, 0.3)
        discs = disc(9, moving(start=(-20, 0))), disc(9, moving(start=(20, 0)), depth=2.0)
        still = Scene(SIZE, (ground(depth=3.0), *discs))
        scene = replace(still, shake=Trajectory(wave, wave))
        for t in range(4):
            flow, _ = scene.flow(t, t + 1)
            assert torch.allclose(flow, torch.full_like(flow, wave(t + 1) - wave(t)), atol=1e-5)
        # A camera may move at the same time, and what the two do adds up.
        panned = replace(still, camera=moving(1, 0)).flow(0, 1)[0]
        both = replace(scene, camera=moving(1, 0), shake=moving(0.7, 0.2)).flow(0, 1)[0]
        assert torch.allclose(both, panned + torch.tensor([0.7, 0.2]).view(2, 1, 1), atol=1e-5)

    def test_static_scene_is_visible_everywhere(self) -> None:
        scene = random_scene(3, SIZE, max_speed=0).clean()
        flow, visible = scene.flow(0, 7)
        assert visible.all()
        assert flow.abs().max() < 1e-6
        assert torch.equal(scene.render(0), scene.render(7))

    def test_velocity_is_the_derivative_of_the_motion(self) -> None:
        rate, turning, growing = torch.tensor([1.4, -0.8]).double(), 0.09, 0.03
        path = Trajectory(Wave(3.0, 1.4), Wave(-5.0, -0.8), Wave(0.4, turning), Wave(0.0, growing))
        scene = Scene(SIZE, (ground(), disc(60, path)))
        t, step = 3.0, 1e-2
        flow = (scene.flow(t, t + step)[0] - scene.flow(t, t - step)[0]).double() / (2 * step)
        centre = torch.tensor([(SIZE[1] - 1) / 2 + 3.0, (SIZE[0] - 1) / 2 - 5.0]).double() + rate * t
        away = pixel_grid(*SIZE).double() - centre.view(2, 1, 1)
        turned = torch.stack((-away[1], away[0]))
        expected = rate.view(2, 1, 1) + growing * away + turning * turned
        assert (flow - expected)[:, scene.layers(t) == 1].abs().max() < 1e-3

    def test_a_wave_through_a_surface_moves_it_by_its_derivative(self) -> None:
        source = generator(4)
        scene = Scene(SIZE, (ground(warp=random_ripples(source, 50.0, 2.0)),))
        t, step = 2.0, 1e-2
        flow = (scene.flow(t, t + step)[0] - scene.flow(t, t - step)[0]).double() / (2 * step)
        # place(t) of a point is where pull(t, place) is that point: dplace/dt = -(dpull/dplace)^-1 dpull/dt.
        warp = scene.surfaces[0].warp
        assert warp is not None
        place = own(replace(scene, surfaces=(ground(),)), 0, t, pixel_grid(*SIZE))
        nudge = 1e-4
        columns = []
        for axis in range(2):
            along = torch.zeros(2, 1, 1).double()
            along[axis] = nudge
            columns.append((warp.pull(t, place + along) - warp.pull(t, place - along)) / (2 * nudge))
        slope = torch.stack(columns, dim=-1).permute(1, 2, 0, 3)
        change = (warp.pull(t + nudge, place) - warp.pull(t - nudge, place)) / (2 * nudge)
        expected = -torch.linalg.solve(slope, change.permute(1, 2, 0)).permute(2, 0, 1)
        assert expected.norm(dim=0).max() > 0.3
        assert (flow - expected).abs().max() < 2e-3


class TestOcclusion:
    def test_disc_moves_and_hides_what_is_behind(self) -> None:
        scene = Scene(SIZE, (ground(), disc(10, moving(4, 0, start=(-17.5, 0.5)))))
        flow, visible = scene.flow(0, 1)
        x, y = pixel_grid(*SIZE)
        inside, covered_later = torch.hypot(x - 30, y - 36) < 10, torch.hypot(x - 34, y - 36) < 10
        # Pixel centres exactly on the outline may fall to either side.
        sure = (torch.hypot(x - 30, y - 36) - 10).abs().minimum((torch.hypot(x - 34, y - 36) - 10).abs()) > 1e-3
        assert torch.equal((flow[0] > 2)[sure], inside[sure])
        assert torch.allclose(flow[0, inside & sure], torch.tensor(4.0), atol=1e-5)
        assert flow[1].abs().max() < 1e-5
        assert torch.equal(visible[sure], (inside | ~covered_later)[sure])

    def test_is_decided_where_the_point_is_and_not_at_the_nearest_pixel(self) -> None:
        scene = Scene(SIZE, (ground(), disc(6, moving(0.3, 0.1, start=(16.2, 0)))), camera=moving(-1.25, 0))
        moved, visible = scene.flow(0, 1)
        target = pixel_grid(*SIZE) + moved
        centre = torch.tensor([47.5 + 16.2 + 0.3 + 1.25, 35.5 + 0.1]).view(2, 1, 1)
        inside = torch.hypot(*(target - centre)) < 6
        on_ground = scene.layers(0) == 0
        assert torch.equal(visible[on_ground], (in_frame(scene, target, -1e-4) & ~inside)[on_ground])
        rounded = torch.hypot(*(target.round() - centre)) < 6
        assert (rounded != inside)[on_ground].any()

    def test_front_disc_wins(self) -> None:
        back, forth = (disc(20, moving(1, 0, start=(0.5, 0.5))), disc(8, moving(-1, 0, start=(0.5, 0.5))))
        scene = Scene(SIZE, (ground(), back, forth))
        flow, visible = scene.flow(0, 1)
        assert flow[0, 36, 48].item() == pytest.approx(-1)
        assert flow[0, 36, 60].item() == pytest.approx(1)
        assert flow[0, 36, 90].item() == pytest.approx(0)
        # The small disc leaves its right side and takes its left one; what is in front is never hidden.
        assert visible[36, 48]
        assert not visible[36, 39]
        _, visible = scene.flow(1, 0)
        assert visible[36, 40]
        assert not visible[36, 56]

    def test_of_limbs_of_one_object_by_each_other(self) -> None:
        texture = random_texture(generator(1))
        arm = replace(disc(1, Trajectory(angle=Wave(0.0, math.pi / 2))), shape=Capsule(15.0, 3.0), owner=1)
        trunk = replace(disc(1, Trajectory()), texture=texture, shape=Capsule(15.0, 5.0), owner=1)
        scene = Scene(SIZE, (ground(), trunk, arm))
        _, visible = scene.flow(0, 1)
        # Upright at first, the arm later lies across: what it lies on then is hidden, what it uncovers had been.
        assert visible[36, 48]
        assert not visible[36, 52]
        assert visible[45, 52]

    @settings(max_examples=20, deadline=None)
    @given(worlds, instants, instants)
    def test_is_that_of_looking_at_every_surface(self, scene: Scene, i: int, j: int) -> None:
        flow, visible = scene.flow(i, j)
        here = pixel_grid(*scene.size).double()
        at_start = distances(scene, i, here)
        target = here + flow
        at_end = distances(scene, j, target)
        expected = (front(at_end) == front(at_start)) & in_frame(scene, target)
        checked = (at_start.abs() > DOUBT).all(0) & sure(scene, at_end, target)
        assert checked.float().mean() > 0.9
        assert torch.equal(scene.layers(i)[checked].long(), front(at_start)[checked])
        assert torch.equal(visible[checked], expected[checked])


class TestPicture:
    @settings(max_examples=15, deadline=None)
    @given(worlds, instants)
    def test_shows_the_texture_of_what_is_in_front(self, scene: Scene, t: int) -> None:
        lit = tuple(replace(surface, shadow=None) for surface in scene.surfaces)
        scene = replace(scene, surfaces=lit).clean()
        here = pixel_grid(*scene.size)
        inside = distances(scene, t, here)
        order_of = front(inside)
        # Edges are blended over a pixel.
        sharp = (inside.abs() > 1.0).all(0)
        shown = scene.render(t).float()
        for order in order_of[sharp].unique().tolist():
            chosen = sharp & (order_of == order)
            points = own(scene, order, t, here[:, chosen][:, None])
            colours = in_float64(scene.surfaces[order].texture)(points)[:, 0].clamp(0, 255)
            assert (shown[:, chosen] - colours).abs().max() < 0.75

    def test_edge_covers_its_share_of_a_pixel(self) -> None:
        thing = replace(disc(17.3, moving(start=(0.2, -0.4))), texture=plain(200.0))
        scene = Scene(SIZE, (replace(ground(), texture=plain(0.0)), thing))
        area = scene.render(0)[0].double().sum().item() / 200
        assert area == pytest.approx(math.pi * 17.3**2, rel=2e-3)

    def test_blur_is_around_the_time_of_the_truth(self) -> None:
        things = replace(ground(), texture=plain(0.0)), replace(disc(12, moving(5, 0)), texture=plain(240.0))
        scene = Scene(SIZE, things, shutter=0.6, exposures=3)
        x, _ = pixel_grid(*SIZE)
        sharp, blurred = scene.clean().render(1)[0].float(), scene.render(1)[0].float()
        assert (blurred - sharp).abs().max() > 50
        centre = [((x * image).sum() / image.sum()).item() for image in (sharp, blurred)]
        assert centre[1] == pytest.approx(centre[0], abs=0.02)
        assert centre[0] == pytest.approx((SIZE[1] - 1) / 2 + 5, abs=0.02)

    def test_shadow_darkens_what_is_behind_alone(self) -> None:
        thing = replace(disc(8, moving()), texture=plain(200.0), shadow=Shadow((14.0, 0.0), 0.5, 2.0))
        scene = Scene(SIZE, (replace(ground(), texture=plain(200.0)), thing))
        image = scene.render(0)[0].float()
        assert image[36, 48] == 200
        assert image[36, 63] == 100
        assert image[36, 20] == 200

    def test_looks_shadows_and_blur_change_no_truth(self) -> None:
        source = generator(3)
        bare = Scene(SIZE, (ground(), disc(9, moving(2, 1), owner=1), disc(14, moving(-1, 0), owner=2)))
        bare = replace(bare, key_points=(KeyPoint("1/centre", 1, (0.0, 0.0)),))
        cast = tuple(replace(s, shadow=Shadow((6.0, 3.0), 0.5, 3.0)) if s.owner else s for s in bare.surfaces)
        looks = (Exposure(0.1, 0.3, 0.0, 0.2, 0.8, 0.5), Sensor(0.1, 5.0, 1))
        shown = replace(bare, surfaces=cast, looks=looks, shutter=0.5, exposures=3)
        assert not torch.equal(bare.render(0), shown.render(0))
        queries = torch.cat((torch.zeros(20, 1), torch.rand((20, 2), generator=source) * 70), dim=1)
        for truth in (
            lambda scene: torch.cat([part.float().flatten() for part in scene.flow(0, 3)]),
            lambda scene: scene.masks(2),
            lambda scene: scene.tracks(queries, range(4)).xy,
            lambda scene: scene.tracks(queries, range(4)).visible,
            lambda scene: scene.points(1)[0],
        ):
            assert torch.equal(truth(bare), truth(shown))

    def test_clean_takes_everything_away_but_the_scene(self) -> None:
        scene = Scene(SIZE, (ground(), disc(9, moving(2, 1))))
        looks = (Exposure(0.1, 0.3, 0.0, 0.2, 0.8, 0.5), Sensor(0.1, 5.0, 1))
        shown = replace(scene, looks=looks, shutter=0.5, exposures=3)
        assert torch.equal(shown.clean().render(2), scene.render(2))
        assert not torch.equal(shown.render(2), scene.render(2))

    def test_noise_and_drift_have_the_size_asked_for(self) -> None:
        clean = random_scene(4, SIZE).clean()
        # Without shot noise to speak of, 3 grey levels of read noise.
        noisy = replace(clean, looks=(Sensor(1e-4, 3e4, 1),))
        difference = noisy.render(0).float() - clean.render(0).float()
        middle = (clean.render(0) > 20) & (clean.render(0) < 235)
        assert difference[middle].std().item() == pytest.approx(math.hypot(3, 0.4), abs=0.25)
        assert not torch.equal(noisy.render(0).float() - clean.render(0), noisy.render(1).float() - clean.render(1))

        still = random_scene(4, SIZE, max_speed=0, frames=60).clean()
        drifting = replace(still, looks=(Exposure(0.1, 2 * math.pi / 60, 0.7, 0.0, 1.0, 0.0),))
        means = torch.stack([drifting.render(t).float().mean() for t in range(0, 90, 5)])
        means /= still.render(0).float().mean()
        assert 0.88 <= means.min() < means.max() <= 1.12
        assert means.max() - means.min() > 0.15


class TestTracks:
    @settings(max_examples=15, deadline=None)
    @given(worlds, instants, st.lists(instants, min_size=1, max_size=3))
    def test_agree_with_flow_at_pixel_centres(self, scene: Scene, i: int, later: list[int]) -> None:
        here = pixel_grid(*scene.size)[:, ::3, ::2]
        queries = torch.cat((torch.full((1, here[0].numel()), float(i)), here.flatten(1))).T
        tracks = scene.tracks(queries, later)
        at_start = distances(scene, i, here).abs().amin(0) > DOUBT
        for row, j in enumerate(later):
            flow, visible = (part[..., ::3, ::2] for part in scene.flow(i, j))
            target = here + flow
            found = tracks.xy[row].T.view_as(here)
            assert (found - target)[:, at_start].abs().max() < 1e-4
            checked = at_start & sure(scene, distances(scene, j, target), target)
            assert torch.equal(tracks.visible[row].view_as(visible)[checked], visible[checked])

    @settings(max_examples=10, deadline=None)
    @given(worlds, st.integers(0, 1000))
    def test_small_steps_add_up_to_a_large_one(self, scene: Scene, seed: int) -> None:
        place = torch.rand((40, 2), generator=generator(seed)) * torch.tensor([scene.size[1] - 1, scene.size[0] - 1])
        queries = torch.cat((torch.zeros(40, 1), place), dim=1)
        direct = scene.tracks(queries, range(7))
        # A hidden point cannot be asked for again, and one on an outline may be that of another surface next time.
        apart = torch.stack([distances(scene, t, direct.xy[t].T[:, None]).abs().amin(0)[0] for t in range(7)]) > 0.02
        followed = (direct.visible & apart).all(0)
        xy = place
        for t in range(6):
            step = scene.tracks(torch.cat((torch.full((40, 1), float(t)), xy), dim=1), [t + 1])
            xy = step.xy[0]
        assume(followed.any())
        assert (xy - direct.xy[6])[followed].abs().max() < 1e-3

    def test_between_pixels(self) -> None:
        path = Trajectory(Wave(0.5, 2.0), Wave(0.5), Wave(0.0, 0.1))
        scene = Scene(SIZE, (ground(), disc(10, path)), camera=moving(0.25, 0))
        # One unit and a half to the right of the disc's middle; and the ground beside it.
        queries = torch.tensor([[0, 48 + 1.5, 36], [2, 10.3, 20.7], [1, 48 + 1.75 + 9.8, 36.0]])
        tracks = scene.tracks(queries, [0, 1, 5])
        for row, t in enumerate((0, 1, 5)):
            disc_x, angle = 48 + 1.75 * t, 0.1 * t
            expected = [disc_x + 1.5 * math.cos(angle), 36 + 1.5 * math.sin(angle)]
            assert tracks.xy[row, 0].tolist() == pytest.approx(expected, abs=1e-4)
            assert tracks.xy[row, 1].tolist() == pytest.approx([10.3 - 0.25 * (t - 2), 20.7], abs=1e-4)
            assert math.dist(tracks.xy[row, 2].tolist(), (disc_x, 36)) == pytest.approx(9.8, abs=1e-3)
        assert tracks.visible.all()

    @settings(max_examples=15, deadline=None)
    @given(worlds, instants, st.integers(0, 1000))
    def test_stay_on_their_surface(self, scene: Scene, start: int, seed: int) -> None:
        place = torch.rand((60, 2), generator=generator(seed)) * torch.tensor([scene.size[1] - 1, scene.size[0] - 1])
        tracks = scene.tracks(torch.cat((torch.full((60, 1), float(start)), place), dim=1), [start, 0, 7])
        at_start = distances(scene, start, place.T[:, None])
        mine = front(at_start)
        certain = (at_start.abs() > DOUBT).all(0)
        assert (tracks.xy[0] - place).abs().max() < 1e-4
        assert tracks.visible[0].all()
        for row, t in enumerate((0, 7), start=1):
            xy = tracks.xy[row].T[:, None].double()
            inside = distances(scene, t, xy)
            assert (inside.gather(0, mine[None])[0][certain] > 0).all()
            checked = certain & sure(scene, inside, xy)
            seen = (front(inside) == mine) & in_frame(scene, xy)
            assert torch.equal(tracks.visible[row][None][checked], seen[checked])

    def test_there_and_back_ends_where_it_began(self) -> None:
        # Without elastic things flow is affine within a surface, so that bilinear sampling of it there is exact.
        for seed in range(8):
            scene = random_scene(seed, SIZE, max_speed=8, frames=20, name="night")
            flow, visible = scene.flow(0, 4)
            back, _ = scene.flow(4, 0)
            checked = well_inside(scene, 0, 4)
            returned = warp(back[None], flow[None])[0]
            assert torch.hypot(*(flow + returned))[checked].max() < 0.01
            assert checked.sum() > 0.4 * visible.sum()


class TestObjects:
    @settings(max_examples=10, deadline=None)
    @given(worlds, instants)
    def test_masks_are_owners_of_what_is_in_front(self, scene: Scene, t: int) -> None:
        owners = torch.tensor([surface.owner for surface in scene.surfaces])
        masks = scene.masks(t)
        assert masks.dtype == torch.uint8
        assert torch.equal(masks.long(), owners[scene.layers(t).long()])

    @settings(max_examples=20, deadline=None)
    @given(worlds, instants)
    def test_key_points_lie_on_their_object_and_hide_behind_others(self, scene: Scene, t: int) -> None:
        xy, seen = scene.points(t)
        assert xy.shape == (len(scene.key_points), 2)
        if not scene.key_points:
            return
        places = xy.T[:, None].double()
        inside = distances(scene, t, places)
        owners = torch.tensor([surface.owner for surface in scene.surfaces])
        own_surface = torch.tensor([point.surface for point in scene.key_points])
        assert (inside.gather(0, own_surface.view(1, 1, -1)) > 0).all()
        shown = (owners[front(inside)] == owners[own_surface]) & in_frame(scene, places)
        checked = sure(scene, inside, places)[0]
        assert torch.equal(seen[checked], shown[0][checked])
        names = [point.name for point in scene.key_points]
        assert len(set(names)) == len(names)
        assert [int(name.split("/")[0]) for name in names] == owners[own_surface].tolist()

    def test_key_point_behind_another_object_or_outside(self) -> None:
        mark = KeyPoint("1/centre", 1, (0.0, 0.0))
        behind = disc(6, moving(10, 0), owner=1)
        before = disc(9, moving(start=(20, 0)), owner=2)
        part = disc(3, moving(10, 0), owner=1)
        scene = Scene(SIZE, (ground(), behind, before, part), key_points=(mark,))
        seen = [scene.points(t)[1].item() for t in range(6)]
        # Its own front part hides nothing; that part passes before the other object, too.
        assert seen == [True, True, True, True, True, False]
        scene = replace(scene, surfaces=scene.surfaces[:3])
        assert [scene.points(t)[1].item() for t in range(6)] == [True, True, False, True, True, False]
        assert scene.points(2)[0].tolist() == [[pytest.approx(47.5 + 20), pytest.approx(35.5)]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["source", "tissue", "particles", "sports"])
def test_gpu_gives_the_same_scene(name: str) -> None:
    here, there = (random_scene(9, SIZE, name=name, device=device) for device in ("cpu", "cuda"))
    assert (here.render(1).int() - there.render(1).cpu().int()).abs().float().mean() < 0.1
    assert torch.allclose(here.flow(0, 1)[0], there.flow(0, 1)[0].cpu(), atol=1e-3)
    assert (here.layers(1) == there.layers(1).cpu()).float().mean() > 0.999
