# Everything runs in its own virtual environment; nothing but Python 3.10+, git and make is needed.
PYTHON ?= python3
VENV   ?= .venv
# The version that the numbers in the README were measured with. `make demo TORCH=torch` takes the newest.
TORCH  ?= torch==2.13.0
# Of `make real` and `make real-tracks-refine`.
SEED   ?= 0
FULL   ?=
# Of `make real-propagate`: weights of a refined RAFT.
REFINED ?=
# Of `make demo`: flow or tracks.
DEMO_TASK ?= flow
BIN    := $(VENV)/bin

.PHONY: install test slow learn real real-tracks real-tracks-refine real-propagate bench ablation demo domains track-domains motionfit motionfit-seeds lint types clean help

help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

install: $(VENV)/.installed ## create the virtual environment and install the project with its developer tools

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

test: install ## run the test suite (set REFINE_MOTION_SHARED for the tests on real weights and videos)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

slow: install ## the tests that take minutes: labelling and training killed at random moments and run again
	$(BIN)/python -m pytest -m slow -s

learn: install ## CorrFlow learns from three seeds to carry the mask of a made disc, better than leaving it where it was
	$(BIN)/python -m pytest -m slow -s tests/slow/test_corrflow_learns.py

real: install ## refine the real RAFT-small on real videos and print its error before and after (needs REFINE_MOTION_SHARED)
	@test -d "$$REFINE_MOTION_SHARED" || { echo "make real: set REFINE_MOTION_SHARED to the folder of real material"; exit 2; }
	REFINE_MOTION_SEED=$(SEED) $(BIN)/python -m pytest -m real_run -s tests/real/test_refine_flow.py

real-tracks: install ## track a bear's joints by the real RAFT-small: table and overlay in runs/real_tracks (needs REFINE_MOTION_SHARED)
	@test -d "$$REFINE_MOTION_SHARED" || { echo "make real-tracks: set REFINE_MOTION_SHARED to the folder of real material"; exit 2; }
	$(BIN)/python -m pytest -m real_run -s tests/real/test_tracks.py

real-tracks-refine: install ## refine the real RAFT-small on the bear's frames without labels and track its joints before and after (needs REFINE_MOTION_SHARED)
	@test -d "$$REFINE_MOTION_SHARED" || { echo "make real-tracks-refine: set REFINE_MOTION_SHARED to the folder of real material"; exit 2; }
	REFINE_MOTION_SEED=$(SEED) $(BIN)/python -m pytest -m real_run -s tests/real/test_refine_tracks.py

real-propagate: install ## masks of a bear and a swan carried from their first frame by all that can: table and videos in runs/real_propagate; REFINED=FILE adds a refined RAFT (needs REFINE_MOTION_SHARED)
	@test -d "$$REFINE_MOTION_SHARED" || { echo "make real-propagate: set REFINE_MOTION_SHARED to the folder of real material"; exit 2; }
	REFINE_MOTION_REFINED=$(REFINED) $(BIN)/python -m pytest -m real_run -s tests/real/test_propagate.py

bench: install ## measure speed, memory and size against what they are compared with, into runs/bench (needs REFINE_MOTION_SHARED)
	@test -d "$$REFINE_MOTION_SHARED" || { echo "make bench: set REFINE_MOTION_SHARED to the folder of real material"; exit 2; }
	$(BIN)/python -m tests.bench

ablation: install ## every part of the best recipe and the baselines by themselves, as one table in runs/ablation; goes on where it was interrupted; FULL=--full takes many hours (needs REFINE_MOTION_SHARED)
	@test -d "$$REFINE_MOTION_SHARED" || { echo "make ablation: set REFINE_MOTION_SHARED to the folder of real material"; exit 2; }
	$(BIN)/python -m tests.ablation.views
	$(BIN)/python -m tests.ablation $(FULL)

demo: install ## the main job from start to end on a made domain, judged by exact truth: a table and a page in runs/demo (DEMO_TASK=tracks: of tracks)
	$(BIN)/refine-motion demo --task $(DEMO_TASK)

domains: install ## the demo on every made domain, as one table, pages in runs/domains; goes on where it was interrupted
	$(BIN)/refine-motion domains

track-domains: install ## small PIPs refined on the made domains, three seeds, as one table; and which pseudo-tracks each rule keeps; in runs/ablation, many hours, goes on where it was interrupted
	$(BIN)/python -m tests.ablation.track_labels
	$(BIN)/python -m tests.ablation.track_domains

motionfit: install ## all steps of MotionFit on the made action set, with what they are compared with, as one table in runs/motionfit_small; goes on where it was interrupted
	$(BIN)/python -m tests.ablation.motionfit

motionfit-seeds: install ## the same with three seeds
	$(BIN)/python -m tests.ablation.motionfit --seeds 0 1 2

lint: install ## style
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: install ## static types
	$(BIN)/mypy

clean: ## remove the virtual environment and everything that was made
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
