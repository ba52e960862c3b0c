# The production image: one static binary for all roles, certificates, time
# zones, and the assets as files. Build it with BuildKit:
#
#   docker buildx build --load --build-arg REVISION=$(git rev-parse HEAD) -t slipway .
#   docker run --rm slipway app version

ARG GO_VERSION=1.26

# The build runs on the platform of the builder and compiles for the target
# platform, so that no build is emulated.
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
WORKDIR /src

# Modules change rarely, so their download has a layer of its own.
ARG GOPROXY
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download

COPY . .

# The binary embeds the compressed assets. Kamal also copies them as files from the
# old version to the new one and back (asset_path), so that pages of one version
# find their assets while the other version serves.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go run ./internal/assets/build -export /out/assets

# The binary contains nothing of the builder, so that two builds of one commit
# are identical.
ARG TARGETOS TARGETARCH
ARG VERSION=devel REVISION=unknown CREATED=unknown
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=$VERSION -X main.commit=$REVISION -X main.built=$CREATED" \
      -o /out/app ./cmd/app \
    && cp /etc/ssl/certs/ca-certificates.crt "$(go env GOROOT)/lib/time/zoneinfo.zip" /out/


FROM scratch

COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/zoneinfo.zip /usr/share/
COPY --from=build /out/assets /assets
COPY --from=build /out/app /usr/local/bin/app

ENV APP_ENV=production \
    ASSETS_DIR=/assets \
    PATH=/usr/local/bin \
    ZONEINFO=/usr/share/zoneinfo.zip

USER 65532:65532
EXPOSE 3000

# This check asks the role that runs in the container. It uses the exec form
# because the image has no shell, and is frequent because Kamal waits until a
# worker is healthy.
HEALTHCHECK --interval=2s --timeout=3s --start-period=1s --retries=3 CMD ["app", "health"]

# There is no entrypoint: to run another role, replace this command with
# "app worker-pg" or "app worker-redis".
CMD ["app", "web"]

# These lines come last, so that a new revision changes no layer.
ARG VERSION=devel REVISION=unknown CREATED=unknown
LABEL service="ecommerce_app" \
      org.opencontainers.image.title="Slipway" \
      org.opencontainers.image.description="A store in one binary: web, worker-pg, worker-redis" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
