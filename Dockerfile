# The images of Tonearm: docker build --target svm|vgg|web|train --tag tonearm-svm .
#
# RUST_IMAGE, RUN_IMAGE  what they begin with
# BINARIES               build: compile here; packed: take train and serve from deploy/image/bin, for a pipeline that has just
#                        compiled them (with BuildKit, which then passes over the stages that compile)
# ARTIFACTS              a folder with svm/ and vgg19/, as train writes them, to bake into the images: those of the repository. They
#                        are served until the volume has a version of the same name in use
#
# VERSION, REVISION      labels: the release, and the commit
#
# deploy/images calls this with what a machine has; docs/operations.md tells the rest.
ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot
ARG BINARIES=build
ARG ARTIFACTS=artifacts

# What is compiled, and nothing else: a change elsewhere leaves every layer below as it is.
FROM scratch AS source
COPY Cargo.toml Cargo.lock /
COPY kernels/simd /kernels/simd
COPY kernels/convolution /kernels/convolution
COPY kernels/optimiser /kernels/optimiser
COPY labels /labels
COPY features /features
COPY data /data
COPY models /models
COPY train /train
COPY serve /serve
# What serve embeds.
COPY artifacts/svm /artifacts/svm
# Members of the workspace, so their manifests have to be there.
COPY experiments /experiments
COPY python /python
COPY tests /tests

FROM ${RUST_IMAGE} AS chef
ENV CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=symbols
RUN cargo install cargo-chef --locked --version =0.1.78
WORKDIR /src

FROM chef AS plan
COPY --from=source / .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /src/recipe.json .
# Every dependency, in a layer that lasts as long as Cargo.lock. Cargo decides on features by the packages that are selected:
# the same ones in both commands, or all is compiled twice.
RUN cargo chef cook --release --locked --package train --package serve --features serve/full --recipe-path recipe.json
COPY --from=source / .
RUN cargo build --release --locked --package train --package serve --features serve/full \
    && mkdir /binaries \
    && mv target/release/train target/release/serve /binaries

FROM scratch AS packed
COPY deploy/image/bin /binaries

FROM ${BINARIES} AS binaries

# What all four have in common. There is no shell here, so folders come with their owner, and nothing is run.
FROM ${RUN_IMAGE} AS run
LABEL org.opencontainers.image.vendor="Tonearm" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --chown=65532:65532 deploy/image/tonearm /tonearm
WORKDIR /tonearm
USER 65532:65532
ENV TONEARM_ARTIFACTS=/tonearm/artifacts TONEARM_FALLBACK_ARTIFACTS=/usr/local/share/tonearm/artifacts
STOPSIGNAL SIGTERM

FROM run AS train
ARG ARTIFACTS
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="tonearm-train" \
      org.opencontainers.image.description="Trains music-genre classifiers" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=binaries /binaries/train /usr/local/bin/train
# A training of VGG19 begins with its convolutions, and a synthetic one does not take the place of either.
COPY --chown=65532:65532 ${ARTIFACTS}/svm /usr/local/share/tonearm/artifacts/svm
COPY --chown=65532:65532 ${ARTIFACTS}/vgg19 /usr/local/share/tonearm/artifacts/vgg19
# It ends when its work is done: how it is, its exit code says.
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/train"]

# A server is healthy while it lives. Whether it has a model is checked by /readyz: a container that waits for its
# first artifact, where none is baked in, is not to be killed.
FROM run AS server
COPY --from=binaries /binaries/serve /usr/local/bin/serve
ENV TONEARM_WAIT_FOR_ARTIFACT=true TONEARM_LOG_FORMAT=json
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["/usr/local/bin/serve", "health"]

FROM server AS svm
ARG ARTIFACTS
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="tonearm-svm" \
      org.opencontainers.image.description="Classifies audio by genre: the support vector machine" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --chown=65532:65532 ${ARTIFACTS}/svm /usr/local/share/tonearm/artifacts/svm
ENV TONEARM_LISTEN=0.0.0.0:8081
EXPOSE 8081
ENTRYPOINT ["/usr/local/bin/serve", "svm"]

FROM server AS vgg
ARG ARTIFACTS
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="tonearm-vgg" \
      org.opencontainers.image.description="Classifies audio by genre: VGG19" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --chown=65532:65532 ${ARTIFACTS}/vgg19 /usr/local/share/tonearm/artifacts/vgg19
ENV TONEARM_LISTEN=0.0.0.0:8082
EXPOSE 8082
ENTRYPOINT ["/usr/local/bin/serve", "vgg"]

FROM server AS web
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="tonearm-web" \
      org.opencontainers.image.description="The web interface and the gateway to both models" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV TONEARM_LISTEN=0.0.0.0:8083 TONEARM_SVM_URL=http://svm:8081 TONEARM_VGG_URL=http://vgg:8082
EXPOSE 8083
ENTRYPOINT ["/usr/local/bin/serve", "web"]
