#!/usr/bin/env bash
# Writes .env with random keys for docker-compose, once; an .env that is there is left as it is.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
file=${1:-$root/.env}

random() { od -An -tx1 -N24 /dev/urandom | tr -d ' \n'; }

if [[ -e $file ]]; then
  echo "$file is there already; remove it for new keys" >&2
  exit 0
fi
umask 077
cat >"$file" <<ENV
# Made by deploy/make-env.sh. Clients send ESPALIER_API_KEYS as their bearer token.
ESPALIER_API_KEYS=$(random)
ESPALIER_MODEL_KEY=$(random)
ESPALIER_REDIS_PASSWORD=$(random)
ESPALIER_GRAFANA_PASSWORD=$(random)
ENV
echo "wrote $file" >&2
