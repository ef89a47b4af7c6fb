# CPU image: the binary, and beside it the libraries that it opens at run time.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# ONNX Runtime comes out of a Go module, so that go.sum vouches for it.
RUN go build -trimpath -ldflags="-s -w" -o /out/varde ./cmd/varde \
 && arch="$(uname -m)" \
 && cp "$(go list -m -f '{{.Dir}}' github.com/k2-fsa/sherpa-onnx-go-linux)/lib/${arch}-unknown-linux-gnu/libonnxruntime.so" /out/libonnxruntime.so

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libstdc++6 libturbojpeg0 libopenjp2-7 libcharls2 libopenslide0 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --create-home varde
COPY --from=build /out/ /usr/local/bin/
USER varde
VOLUME /data
EXPOSE 11112 8080
ENV VARDE_DICOM_ADDR=0.0.0.0:11112 VARDE_HTTP_ADDR=0.0.0.0:8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["varde", "doctor", "--live", "http://127.0.0.1:8080"]
ENTRYPOINT ["varde"]
CMD ["serve", "--dir", "/data"]
