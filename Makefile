# Every target makes the virtual environment it needs; nothing else is asked of the machine but Python 3.11+, a C++17
# compiler and make. TORCH and TORCH_INDEX pick the torch build: by default the pinned CPU one, from PyTorch's own index or
# from whatever index pip is set up with; a CUDA build is TORCH=torch TORCH_INDEX=.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
OUT ?= demo-out
SAVE ?=
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test test-all check bench bench-restoration bench-gpu gpu clean

# torch first and by its exact build: a bare name brings gigabytes of CUDA.
$(VENV)/.ready: pyproject.toml kernels/CMakeLists.txt $(wildcard kernels/*.h kernels/*.cpp) $(wildcard phantoms/*)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --retries 0 "$(TORCH)" $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(PIP) install --quiet "scikit-build-core>=0.11" cmake ninja
	$(PIP) install --quiet --no-build-isolation --editable ".[train,onnx,dicom,spectra,cad,volumes,dask,store,dev]"
	touch $@

demo: $(VENV)/.ready
	$(BIN)/python -m denoise.demo $(OUT)

test: $(VENV)/.ready check
	$(BIN)/python -m pytest -q -n 2

test-all: $(VENV)/.ready check
	$(BIN)/python -m pytest -q -n 2 -m "not cuda"

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# SAVE=--save keeps the results, draws them and fills the tables of docs/performance.md.
bench: $(VENV)/.ready .venv-peers/.ready
	$(BIN)/python benchmarks/first_image.py $(SAVE)
	$(BIN)/python benchmarks/detector.py $(SAVE)
	$(BIN)/python benchmarks/projection.py $(SAVE)
	$(BIN)/python benchmarks/cost.py $(SAVE)
	$(BIN)/python benchmarks/corpus.py $(SAVE)
	$(BIN)/python benchmarks/reading.py $(SAVE)
	$(if $(SAVE),$(BIN)/python benchmarks/plots.py && $(BIN)/python benchmarks/tables.py --write)

bench-gpu: $(VENV)/.ready .venv-peers/.ready
	$(BIN)/python benchmarks/first_image.py --backend cuda $(SAVE)
	$(BIN)/python benchmarks/detector.py --backend cuda $(SAVE)
	$(BIN)/python benchmarks/projection.py --backend cuda $(SAVE)
	$(BIN)/python benchmarks/cost.py --backend cuda $(SAVE)
	$(BIN)/python benchmarks/corpus.py --backend cuda $(SAVE)
	$(if $(SAVE),$(BIN)/python benchmarks/plots.py && $(BIN)/python benchmarks/tables.py --write)

# Peers need of the system, by Debian's names: libegl1 libgl1 libgl1-mesa-dri libgles2 libopengl0 libxcb-res0 libxcb-ewmh2
# libxcb-composite0 libxcb-xinerama0 libxcb-keysyms1 libxcb-icccm4 (gVirtualXRay), libusb-1.0-0 (Open3D), gcc make (gecatsim).
.venv-peers/.ready: benchmarks/peers.txt benchmarks/install_peers.py
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python benchmarks/install_peers.py --torch "$(TORCH)" --torch-index "$(TORCH_INDEX)"
	touch $@

# bm3d is for non-commercial use: the comparison has an environment of its own, and nothing else needs it.
.venv-denoisers/.ready: benchmarks/denoisers.txt
	test -x .venv-denoisers/bin/python || $(PYTHON) -m venv .venv-denoisers
	.venv-denoisers/bin/python -m pip --disable-pip-version-check install --quiet -r benchmarks/denoisers.txt
	touch $@

bench-restoration: $(VENV)/.ready .venv-denoisers/.ready
	$(BIN)/python benchmarks/restoration.py $(SAVE)

# On a machine with a CUDA device: parity first, then the benchmarks.
gpu: $(VENV)/.ready
	$(PIP) install --quiet --no-build-isolation --editable ".[train,onnx,dicom,spectra,cad,volumes,dask,store,dev,cuda]"
	$(BIN)/python -m pytest -q -m cuda
	$(BIN)/python benchmarks/first_image.py --backend cuda

clean:
	rm -rf build $(VENV) .mypy_cache .ruff_cache
