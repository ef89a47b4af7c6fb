# make test installs what the tests need and runs them all. Nothing else is
# needed than Go, gcc and, for the installation, root or sudo on Debian or Ubuntu.

GO      ?= go
TOOLS   := .tools
MINIO   := github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
PEERS   := dcmtk dicom3tools pixelmed-apps default-jre-headless orthanc orthanc-dicomweb redis-server \
           chromium libturbojpeg0 libopenjp2-7 libcharls2 libstdc++6 \
           libopenslide0 openslide-tools postgresql python3-hl7 poppler-utils curl
PROBES  := storescu dciodvfy DicomSRValidator Orthanc redis-server chromium openslide-write-png pdftotext curl
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: build test test-go lint setup minio bench clean

build:
	$(GO) build -o varde ./cmd/varde

test: setup minio lint test-go

# Tests of packages run side by side, two at a time: several of them start
# servers, browsers and a Java machine of their own.
test-go:
	CI=true VARDE_MINIO=$(CURDIR)/$(TOOLS)/minio $(GO) test -p 2 -timeout 15m ./...

lint:
	@unformatted="$$(gofmt -l $$(git ls-files '*.go'))"; [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# Debian's packages for the tests' peers; only what is missing is installed.
setup:
	@missing=""; for p in $(PROBES); do command -v $$p >/dev/null 2>&1 || missing=1; done; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing=1; \
	/usr/bin/python3 -c 'import hl7' 2>/dev/null || missing=1; \
	ls /usr/share/orthanc/plugins/libOrthancDicomWeb.so >/dev/null 2>&1 || missing=1; \
	for l in libturbojpeg.so.0 libopenjp2.so.7 libcharls.so.2; do ldconfig -p | grep -q "$$l" || missing=1; done; \
	if [ -n "$$missing" ]; then \
		$(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $(PEERS) >/dev/null; \
	fi
	$(GO) mod download

# A real MinIO, built once: it is a separate program (AGPL), used by tests only.
minio: $(TOOLS)/minio
$(TOOLS)/minio:
	@mkdir -p $(TOOLS)
	@cache="$${XDG_CACHE_HOME:-$$HOME/.cache}/varde-tools"; mkdir -p "$$cache"; \
	[ -x "$$cache/minio" ] || GOBIN="$$cache" $(GO) install $(MINIO); \
	cp "$$cache/minio" $(TOOLS)/minio

bench: build
	./varde bench all

clean:
	rm -rf varde $(TOOLS)
