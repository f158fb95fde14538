# make lab | make test | make help
PYTHON ?= python3
TORCH_INDEX ?=
PY := .venv/bin/python
PYTEST := $(PY) -m pytest
NBVAL := $(PYTEST) -n 2 --dist loadfile --nbval --nbval-current-env notebooks
OFFLINE := PYTHONPATH=$(CURDIR)/tests/offline
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= passive
# A notebook is trusted while this server runs: reopened later, it shows each panel's saved picture
# in place of a widget whose kernel is gone.
LAB_FLAGS := --NotebookNotary.db_file=:memory:
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: help lab test env notebooks lint test-all test-elsewhere test-reproducible test-newest soak fuzz audit bench study picture slides site hub-env present app residuals mutation address lock clean

help:            ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /: /' | column -t -s:

lab: env         ## set up, then JupyterLab on the first notebook
	$(PY) -m jupyterlab $(ROOT_FLAG) $(LAB_FLAGS) $(LAB_ARGS) notebooks/00_start_here.ipynb

test: env        ## set up, then every test of the everyday tier, strict nbval included
	$(PYTEST) -n 2 --dist loadfile --nbval --nbval-current-env $(TEST_ARGS)

env: .venv/.ready   ## the environment alone

.venv/.ready: requirements.txt pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"Python 3.11 to 3.13 is needed, this is {v.major}.{v.minor}: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.txt
	$(PY) -m pip install --no-deps --editable .
	touch $@

notebooks: env   ## execute every notebook (or NB=notebooks/06*.ipynb) in place and clean it
	$(PY) -m nbconvert --config .nbconvert.py $(or $(NB),notebooks/*.ipynb)

lint: env        ## ruff over package, tests and notebooks
	$(PY) -m ruff check . && $(PY) -m ruff format --check .

test-all: env hub-env   ## the slower checks: every panel in the browser, a hub with a class, other processors
	$(PYTEST) -m full $(TEST_ARGS)
	$(MAKE) test-elsewhere
	$(OFFLINE) PYTHONHASHSEED=1 OMP_NUM_THREADS=2 $(NBVAL)

test-elsewhere: env   ## strict nbval under two emulated processors
	OPENBLAS_CORETYPE=Nehalem ATEN_CPU_CAPABILITY=default NPY_DISABLE_CPU_FEATURES="AVX2 FMA3 AVX512F AVX512_SKX" \
		$(NBVAL)
	OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 NPY_DISABLE_CPU_FEATURES="AVX512F AVX512_SKX" \
		$(NBVAL)

test-reproducible: env   ## strict nbval: three times with other hash seeds, two threads, no network, other processors
	for seed in 0 1 20230301; do PYTHONHASHSEED=$$seed $(NBVAL) || exit 1; done
	OMP_NUM_THREADS=2 $(NBVAL)
	$(OFFLINE) $(NBVAL)
	$(MAKE) test-elsewhere

test-newest:     ## every everyday test, nbval laxly, with the newest packages that pyproject.toml admits
	$(PYTHON) -m venv --clear build/newest-env
	build/newest-env/bin/python -m pip install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -e '.[lab,present,test]'
	build/newest-env/bin/python -m pytest -n 2 --dist loadfile --nbval-lax --nbval-current-env --ignore tests/test_requirements.py

soak: env        ## 20,000 movements on every panel in one kernel, for hours (SOAK=1000: fewer)
	SOAK_MOVEMENTS=$(or $(SOAK),20000) $(PYTEST) -m soak -s tests/soak

fuzz: env        ## arguments and movements that no run has tried, more with FUZZ_EXAMPLES=1000
	$(PYTEST) -n 2 --hypothesis-profile fresh -m full tests/test_fuzz.py tests/test_fuzz_panels.py tests/test_fuzz_training.py $(TEST_ARGS)

audit:           ## known vulnerabilities of the pinned packages (asks a database on the network)
	$(PYTHON) -m venv --clear build/audit-env
	build/audit-env/bin/python -m pip install pip-audit
	build/audit-env/bin/pip-audit -r requirements.txt --no-deps --disable-pip

bench: build/bench/.ready   ## measure everything, and print the README's table of speed
	PYTHONPATH=$(CURDIR)/build/bench JUPYTER_PATH=$(CURDIR)/build/bench/share/jupyter \
		$(PYTEST) -m benchmark -s tests/benchmarks --speed build/speed.md $(BENCH_ARGS)
	cat build/speed.md

build/bench/.ready: tests/benchmarks/requirements.txt | env
	rm -rf $(@D) && $(PY) -m pip install --no-deps --target $(@D) -r $(<)
	touch $@

study: env       ## train and measure ten weightings on the digits, resumable (STUDY_ARGS="--jobs 4")
	$(PY) -m course_utils.training.study $(STUDY_ARGS)

picture: env     ## the moving picture of the README, from the real panel
	$(PY) -m course_utils.panels._picture .github/sum_of_elbos.webp

slides: env slides/node_modules/.package-lock.json   ## draw the figures and build the deck, HTML and PDF (needs Node and Chromium)
	$(PY) slides/figures.py
	cd slides && npx marp deck.md -o deck.html
	cd slides && $(if $(ROOT_FLAG),CHROME_NO_SANDBOX=1) npx marp deck.md --pdf --pdf-outlines -o deck.pdf

slides/node_modules/.package-lock.json: slides/package-lock.json
	cd slides && npm ci --no-audit --no-fund
	touch $@

site: build/site-env/.ready   ## the course as a web page, in build/site; its notebooks run in the browser (needs Node)
	build/site-env/bin/python docs/pages.py build/site

# An environment of its own, $(@D), that sees the course's and adds what $(<) pins.
define layer
$(PY) -m venv --clear $(@D)
$(PY) -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' > \
	"$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/course.pth"
$(@D)/bin/python -m pip install -c requirements.txt -r $(<)
endef

# JupyterLab must not see the browser's kernel.
build/site-env/.ready: docs/requirements.txt docs/package-lock.json | env
	$(layer)
	build/site-env/bin/python -m pip download --no-deps --only-binary=:all: -c requirements.txt \
		-d build/site-env/wheels array-api-compat comm ipywidgets jupyterlab_widgets
	cd docs && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

hub-env: build/hub-env/.ready   ## what the test of a hub needs: JupyterHub, its proxy (needs Node), repo2docker

build/hub-env/.ready: tests/hub/requirements.txt tests/hub/package-lock.json | env
	$(layer)
	cd tests/hub && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

# Settings, and what the show changes in them, live in build/present: your own stay as they are.
present: env     ## the nine panels as slides, live, for the lecture hall
	rm -rf build/present && mkdir -p build && cp -R slides/live/jupyterlab-settings build/present
	JUPYTERLAB_SETTINGS_DIR="$(CURDIR)/build/present" JUPYTERLAB_WORKSPACES_DIR="$(CURDIR)/build/present" \
		$(PY) -m jupyterlab $(ROOT_FLAG) $(LAB_FLAGS) --ServerApp.root_dir="$(CURDIR)" $(LAB_ARGS) slides/live_panels.ipynb

app: env         ## the nine panels as an app without code, on this machine alone; prints its address
	JUPYTER_PATH="$(CURDIR)/slides/live" JUPYTER_CONFIG_PATH="$(CURDIR)/slides/live" \
		$(PY) -m voila $(APP_ARGS) slides/live_panels.ipynb

residuals: env   ## the table of measured residuals of the README
	$(PYTEST) -q tests/test_claims.py tests/test_regression.py tests/panels/test_half_a_nat.py --residuals residuals.md && cat residuals.md && rm residuals.md

MUTATED := $(or $(MODULE),schedules)
MUTATION_TESTS := tests/test_$(MUTATED).py $(if $(filter objectives,$(MUTATED)),tests/test_elbo.py)

mutation: env    ## mutation testing of one room in a copy, an hour or more (MODULE=schedules); tests/mutation.md
	test -x build/mutation/env/bin/cosmic-ray || { $(PY) -m venv build/mutation/env && build/mutation/env/bin/pip install -q cosmic-ray==8.7.0; }
	rm -rf build/mutation/tree && mkdir build/mutation/tree && cp -r course_utils tests pyproject.toml build/mutation/tree
	cd build/mutation/tree && sed 's/MODULE/$(MUTATED)/; s|PYTHON|$(CURDIR)/$(PY)|; s|TESTS|$(MUTATION_TESTS)|' tests/mutation.toml > m.toml && \
		../env/bin/cosmic-ray init m.toml m.sqlite && ../env/bin/cr-filter-operators m.sqlite m.toml && \
		../env/bin/cosmic-ray exec m.toml m.sqlite && ../env/bin/cr-report m.sqlite --surviving-only --show-diff

address: env     ## set the repository's public address (URL=https://host/owner/name) in all places
	$(PY) .ci/address.py $(URL)

lock: env        ## write what is installed to requirements.txt
	{ sed -n "/^#/p" requirements.txt; $(PY) -m pip freeze --exclude-editable | sed "s/+cpu//"; } > .lock && mv .lock requirements.txt

clean:           ## remove the environment and caches
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache
