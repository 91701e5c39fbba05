#!/usr/bin/env bash
# Makes stand-ins for the base images that the container files name, where no image can be pulled: Debian by debootstrap,
# Redis from its packages, MongoDB by the server of tests/mongo, Node and Rust from this machine. It needs root, a
# container engine, debootstrap, Go, npm, and what `cargo xtask tools` installs. What this machine trusts (the authorities
# of its registries) goes into them, so that builds on them reach the same registries.
#
#     tests/compose/bases/make.sh [IMAGE..]
set -euo pipefail
cd "$(dirname "$0")"
docker=${DOCKER:-docker}
tools=${EDGEROOM_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/edgeroom}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Builds the image $1 of the folder $scratch/$2 and the Dockerfile on stdin, unless it is there.
image() {
  mkdir -p "$scratch/$2"
  cat > "$scratch/$2/Dockerfile"
  $docker image inspect "$1" > "$scratch/log" 2>&1 || $docker build --quiet --tag "$1" "$scratch/$2"
}

debian() {
  $docker image inspect debian:bookworm-slim > "$scratch/log" 2>&1 && return
  debootstrap --variant=minbase --include=ca-certificates bookworm "$scratch/debian" > "$scratch/log"
  cp /etc/ssl/certs/ca-certificates.crt "$scratch/debian/etc/ssl/certs/"
  tar -C "$scratch/debian" --exclude='./var/cache/apt/archives/*.deb' -c . | $docker import - debian:bookworm-slim
}

redis() {
  mkdir -p "$scratch/redis"
  # As the image does it: what is reachable is the network's business.
  printf '#!/bin/sh\nexec /usr/bin/redis-server "$@" --protected-mode no\n' > "$scratch/redis/redis-server"
  chmod +x "$scratch/redis/redis-server"
  image redis:7-alpine redis <<'END'
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*
COPY redis-server /usr/local/bin/
WORKDIR /data
CMD ["redis-server"]
END
}

mongo() {
  mkdir -p "$scratch/mongo" "$scratch/mongod"
  cp mongod.go ../../mongo/wire.go "$scratch/mongod/"
  (cd "$scratch/mongod" && CGO_ENABLED=0 go build -o "$scratch/mongo/mongod" mongod.go wire.go)
  (cd ../../mongo && CGO_ENABLED=0 go build -trimpath -o "$scratch/mongo/mongo-server" .)
  # The health check asks it whether the set takes writes; a server that answers does.
  printf '#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/27017\n' > "$scratch/mongo/mongosh"
  chmod +x "$scratch/mongo/mongosh"
  image mongo:8.0 mongo <<'END'
FROM debian:bookworm-slim
COPY mongod mongo-server mongosh /usr/local/bin/
VOLUME /data/db
EXPOSE 27017
CMD ["mongod"]
END
}

node() {
  mkdir -p "$scratch/node"
  cp "$(echo "$tools"/node-*/node_modules/node-*/bin/node)" "$scratch/node/"
  cp -r "$(npm root --global)/npm" "$scratch/node/"
  image node:22-bookworm-slim node <<'END'
FROM debian:bookworm-slim
COPY node /usr/local/bin/
COPY npm /usr/local/lib/node_modules/npm
RUN useradd --uid 1000 --create-home node && ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
END
}

rust() {
  mkdir -p "$scratch/rust"
  (cd ../../.. && cp -rL "$(rustc --print sysroot)" "$scratch/rust/toolchain")
  rm -rf "$scratch/rust/toolchain/share" "$scratch/rust/toolchain/lib/rustlib/wasm32-unknown-unknown"
  image rust:1.95-bookworm rust <<'END'
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY toolchain /usr/local/rustup
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/rustup/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
END
}

for name in "${@:-debian redis mongo node rust}"; do
  for one in $name; do
    echo "$one" >&2
    "$one"
  done
done
