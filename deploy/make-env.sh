#!/usr/bin/env bash
# Writes .env with random keys for docker-compose, once; an .env that is there is left as it is.
#
#   deploy/make-env.sh [--adapter NAME] [FILE]
#
# With --adapter, for the profile cpu: the engine merges that shipped adapter into its model, and the roles
# get their settings for it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
adapter=
if [[ ${1:-} == --adapter ]]; then
  adapter=${2:?--adapter needs a name}
  shift 2
fi
file=${1:-$root/.env}
card=$root/training/adapters/$adapter/card.json
if [[ $adapter && ! -f $card ]]; then
  echo "there is no adapter $adapter; there are: $(cd "$root/training/adapters" && echo *)" >&2
  exit 1
fi

field() { sed -n "s/^ \"$1\": \"\(.*\)\",\{0,1\}$/\1/p" "$card"; }

random() { od -An -tx1 -N24 /dev/urandom | tr -d ' \n'; }

if [[ -e $file ]]; then
  echo "$file is there already; remove it for new keys" >&2
  exit 0
fi
umask 077
cat >"$file" <<ENV
# Made by deploy/make-env.sh. Clients send ESPALIER_API_KEYS as their bearer token; ESPALIER_ADMIN_KEYS changes adapters.
ESPALIER_API_KEYS=$(random)
ESPALIER_ADMIN_KEYS=$(random)
ESPALIER_MODEL_KEY=$(random)
ESPALIER_REDIS_PASSWORD=$(random)
ESPALIER_GRAFANA_PASSWORD=$(random)
ENV
if [[ $adapter ]]; then
  profile=$(field profile)
  cat >>"$file" <<ENV
ESPALIER_ADAPTER=$adapter
ESPALIER_MERGED_ADAPTER=$(field name)
ESPALIER_PROMPT_PROFILE=${profile%@*}
ENV
fi
echo "wrote $file" >&2
