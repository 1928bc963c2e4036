#!/usr/bin/env bash
# A Docker engine for tests, where none is running.
#
#   deploy/docker/engine.sh up      start one (root; installs Debian's packages where they are missing)
#   deploy/docker/engine.sh down    stop the one that `up` started; its images stay
#   deploy/docker/engine.sh env     print what to export, so that docker and docker-compose talk to it
#   deploy/docker/engine.sh purge   stop it and remove its data
#
# An engine that answers already is left alone and used as it is. Ours keeps everything under
# .espalier/docker, so removing that folder removes it all.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
home=${ESPALIER_DOCKER_HOME:-$root/.espalier/docker}
socket=$home/docker.sock
pidfile=$home/docker.pid
seconds=60

log() { printf 'engine: %s\n' "$*" >&2; }
ours() { [[ -s $pidfile ]] && kill -0 "$(cat "$pidfile")" 2>/dev/null; }
answers() { docker "$@" version --format '{{.Server.Version}}' >/dev/null 2>&1; }

install() {
  local missing=()
  command -v dockerd >/dev/null || missing+=(docker.io iptables)
  command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1 || missing+=(docker-compose)
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || { log "install ${missing[*]}: there is no apt-get here"; return 1; }
  log "installing ${missing[*]}"
  apt-get update -qq
  # A package's script must not start a daemon of its own beside ours.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

up() {
  if answers; then
    log "an engine answers already; using it"
    return
  fi
  if ours && answers -H "unix://$socket"; then
    log "running already"
    return
  fi
  if [[ $(id -u) -ne 0 ]]; then
    log "no engine answers, and starting one needs root"
    return 1
  fi
  if ((${#socket} > 100)); then
    log "$socket is too long for a socket: set ESPALIER_DOCKER_HOME to a shorter folder"
    return 1
  fi
  install
  mkdir -p "$home"
  rm -f "$pidfile" "$socket"
  setsid dockerd --data-root "$home/data" --exec-root "$home/exec" -H "unix://$socket" -p "$pidfile" \
    >"$home/dockerd.log" 2>&1 </dev/null &
  local deadline=$((SECONDS + seconds))
  until answers -H "unix://$socket"; do
    if ((SECONDS > deadline)); then
      log "dockerd did not answer within $seconds s; the end of $home/dockerd.log:"
      tail -n 15 "$home/dockerd.log" >&2
      down
      return 1
    fi
    sleep 0.5
  done
  log "up: $(docker -H "unix://$socket" version --format '{{.Server.Version}}')"
}

down() {
  if ! ours; then
    rm -f "$pidfile" "$socket"
    return
  fi
  local pid deadline=$((SECONDS + seconds))
  pid=$(cat "$pidfile")
  kill "$pid"
  while kill -0 "$pid" 2>/dev/null; do
    if ((SECONDS > deadline)); then
      log "process $pid has not stopped within $seconds s"
      return 1
    fi
    sleep 0.5
  done
  rm -f "$socket"
  log "stopped"
}

environment() {
  if ours; then
    printf 'export DOCKER_HOST=unix://%s\n' "$socket"
  fi
}

case ${1:-} in
  up) up ;;
  down) down ;;
  env) environment ;;
  purge)
    down
    rm -rf "$home"
    ;;
  *)
    log "usage: $0 up|down|env|purge"
    exit 2
    ;;
esac
