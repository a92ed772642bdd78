# syntax=docker/dockerfile:1.7
# The image of carillon: one static binary that runs as nobody. Its commands
# are the arguments: serve, api, worker, migrate, doctor.

# A release names both by digest, which outlives a tag that is moved (docs/security.md):
#   --build-arg BUILD_IMAGE=golang:1.26.8-bookworm@sha256:…
# The second has no tags of versions.
ARG BUILD_IMAGE=golang:1.26.8-bookworm
ARG RUN_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /carillon ./cmd/carillon \
    && mkdir /data

# Certificates and nothing else: no shell, no package manager.
FROM ${RUN_IMAGE}
COPY --from=build /carillon /carillon
# Only the SQLite database of `serve` is kept here.
COPY --from=build --chown=65532:65532 /data /data
ENV CARILLON_DATA_DIR=/data \
    CARILLON_HTTP_ADDR=0.0.0.0:8080
USER 65532:65532
EXPOSE 8080
# The worker waits 40 s for attempts under way; give it 90 s in all:
# docker stop --time 90
STOPSIGNAL SIGTERM
ENTRYPOINT ["/carillon"]
CMD ["serve"]
