# Both services in one image: they share all of their dependencies, and the command says which one runs.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# On 64-bit ARM the allocator does not start where the kernel's pages are larger than it was built for: up to 64 KiB.
ENV AARCH64_UNKNOWN_LINUX_GNU_JEMALLOC_SYS_WITH_LG_PAGE=16
# librdkafka, SQLite and the allocator are built from their C source.
RUN apt-get update && apt-get install -y --no-install-recommends make g++ && rm -rf /var/lib/apt/lists/*

# The dependencies alone, from the manifests and empty sources: this layer, most of the time, is reused until a manifest
# changes. It is done with a layer because cache mounts would need BuildKit.
COPY Cargo.toml Cargo.lock ./
COPY shared/Cargo.toml shared/
COPY service-a/Cargo.toml service-a/
COPY service-b/Cargo.toml service-b/
COPY demo/Cargo.toml demo/
COPY bench/Cargo.toml bench/
COPY tests/Cargo.toml tests/
RUN for member in shared service-a service-b demo bench; do \
      mkdir -p $member/src && touch $member/src/lib.rs && echo 'fn main() {}' >$member/src/main.rs; \
    done && touch tests/main.rs && mkdir shared/src/bin && echo 'fn main() {}' >shared/src/bin/cost.rs \
    && cargo build --release --locked -p service-a -p service-b

COPY . .
# Copied files keep their old times, and cargo would take the empty programs above for up to date.
RUN touch shared/src/*.rs service-a/src/*.rs service-b/src/*.rs \
    && cargo build --release --locked -p service-a -p service-b

FROM debian:bookworm-slim
COPY --from=build /src/target/release/service-a /src/target/release/service-b /usr/local/bin/
# For service-b's ledger: a volume mounted here takes the folder's owner over.
RUN install -d -o 10001 -g 10001 /data
# A number, so that Kubernetes' runAsNonRoot can check it without reading the image's /etc/passwd.
USER 10001:10001
# The default, written down because the services' clean shutdown depends on it.
STOPSIGNAL SIGTERM
# No entry point: `docker run IMAGE service-a --count 3` reads as it does on a shell.
CMD ["service-b"]
