#!/usr/bin/env bash
# Stand-ins for the official images, made from Debian's packages under the same tags.
#
#   deploy/docker/stand-ins.sh              make what the engine lacks
#   deploy/docker/stand-ins.sh --try-pull   try the registry first
#
# For machines that reach Debian's mirror and the Python registry, but no image registry. They have
# the same paths, users and commands as far as docker-compose.yml relies on them; they are for tests
# and are never pushed. The base carries this machine's CA bundle, so that a build reaches what this
# machine reaches. Grafana and Jaeger are not in Debian: they have no stand-ins.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${ESPALIER_DOCKER_HOME:-$root/.espalier/docker}/stand-ins

image_of() { sed -n "s|^ *image: \($1:[^ ]*\)\$|\1|p" "$root/docker-compose.yml" | head -n 1; }

base=$(sed -n 's/^ARG BASE=\(.*\)$/\1/p' "$here/Dockerfile" | head -n 1)
redis=$(image_of redis)
prometheus=$(image_of prom/prometheus)
: "${base:?}" "${redis:?}" "${prometheus:?}"

log() { printf 'stand-ins: %s\n' "$*" >&2; }

have() {
  docker image inspect "$1" >/dev/null 2>&1 && return
  [[ ${try_pull:-} ]] && timeout 300 docker pull --quiet "$1" >/dev/null 2>&1
}

make_base() {
  local rootfs=$work/rootfs
  command -v debootstrap >/dev/null || {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
  }
  rm -rf "$rootfs"
  mkdir -p "$work"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$rootfs" \
    >"$work/debootstrap.log" 2>&1 || {
    tail -n 15 "$work/debootstrap.log" >&2
    return 1
  }
  # As in the official image: `python` is there, and docs and package lists are not.
  ln -sf python3 "$rootfs/usr/bin/python"
  cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$rootfs/etc/ssl/certs/ca-certificates.crt"
  rm -rf "$rootfs"/var/cache/apt/archives/*.deb "$rootfs"/var/lib/apt/lists/* "$rootfs"/usr/share/{doc,man,locale}/*
  tar -C "$rootfs" -c . | docker import --change 'CMD ["python3"]' - "$base" >/dev/null
  rm -rf "$rootfs"
}

make_redis() {
  docker build --quiet --tag "$redis" - >/dev/null <<DOCKERFILE
FROM $base
RUN groupadd -r -g 999 redis && useradd -r -g redis -u 999 redis \
 && apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/* && mkdir /data && chown redis:redis /data
VOLUME /data
WORKDIR /data
CMD ["redis-server"]
DOCKERFILE
}

make_prometheus() {
  docker build --quiet --tag "$prometheus" - >/dev/null <<DOCKERFILE
FROM $base
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus \
 && rm -rf /var/lib/apt/lists/* && mkdir /prometheus && chown nobody:nogroup /prometheus
USER nobody
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
DOCKERFILE
}

ensure() { # image, the function that makes it
  if have "$1"; then
    log "$1 is there"
    return
  fi
  local began=$SECONDS
  "$2"
  log "$1 made in $((SECONDS - began)) s"
}

[[ ${1:-} == --try-pull ]] && try_pull=yes
ensure "$base" make_base
ensure "$redis" make_redis
ensure "$prometheus" make_prometheus
