#!/usr/bin/env bash
# Asks a cluster whether vedetta works in it: `deploy/verify.sh [-n NAMESPACE] [-l SELECTOR] [--failover]`.
#
# Invariants: needs kubectl alone. Reads, and writes one entry in a cache of its own, which it removes; nothing else is
# changed, unless --failover asks for a failover of deploy/examples/redis-sentinel in the namespace `redis`.
# Every pod is asked; the exit code is 1 if anything does not hold.
# Not here: repairing (deploy/monitoring/RUNBOOK.md).
set -euo pipefail

usage='usage: deploy/verify.sh [-n NAMESPACE] [-l SELECTOR] [--failover]'
namespace='' selector=vedetta.dev/injected=true failover=''
while (($#)); do
  case $1 in
    -n) namespace=${2:?$usage}; shift 2 ;;
    -l) selector=${2:?$usage}; shift 2 ;;
    --failover) failover=yes; shift ;;
    --help) echo "$usage"; exit 0 ;;
    *) echo "$usage" >&2; exit 2 ;;
  esac
done
command -v kubectl >/dev/null || { echo 'deploy/verify.sh needs kubectl' >&2; exit 2; }

failed=0
ok() { printf '  ok: %s\n' "$*"; }
bad() { printf '  FAILED: %s\n' "$*" >&2; failed=1; }
cluster() { kubectl ${namespace:+-n "$namespace"} "$@"; }
# vedetta POD ARGUMENTS...  asks the client in the container of the sidecar; the image has no shell.
vedetta() { local pod=$1; shift; cluster exec "$pod" -c vedetta -- /vedetta --timeout 15s "$@"; }

mapfile -t pods < <(cluster get pods -l "$selector" -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}')
((${#pods[@]})) || { bad "no pods with $selector"; exit 1; }

for pod in "${pods[@]}"; do
  # Native sidecars are init containers; both lists are asked.
  state=$(cluster get pod "$pod" -o \
    'jsonpath={range .status.initContainerStatuses[?(@.name=="vedetta")]}{.ready}/{.restartCount}{end}{range .status.containerStatuses[?(@.name=="vedetta")]}{.ready}/{.restartCount}{end}')
  case $state in
    true/0) ok "$pod: ready, never restarted" ;;
    true/*) ok "$pod: ready, restarted ${state#*/} times" ;;
    '') bad "$pod has no container named vedetta"; continue ;;
    *) bad "$pod: vedetta is not ready ($state)"; continue ;;
  esac
  if vedetta "$pod" health --service vedetta.v1.Cache >/dev/null 2>&1; then
    ok "$pod: has a master"
  else
    bad "$pod: has no master: $(vedetta "$pod" status 2>&1 | head -n 5)"
    continue
  fi
  if vedetta "$pod" put vedetta-verify "$pod" works --ttl 1m >/dev/null &&
    [[ $(vedetta "$pod" get vedetta-verify "$pod") == works ]]; then
    ok "$pod: writes and reads"
  else
    bad "$pod: cannot write and read"
  fi
  if weak=$(vedetta "$pod" status | grep '^weakness'); then printf '%s\n' "$weak" | sed 's/^/      /'; fi
done

# What one pod writes, the others read.
first=${pods[0]}
for pod in "${pods[@]:1}"; do
  if [[ $(vedetta "$pod" get vedetta-verify "$first" 2>/dev/null) == works ]]; then
    ok "$pod reads what $first wrote"
  else
    bad "$pod does not read what $first wrote: do they have the same Redis and prefix?"
  fi
done

if [[ $failover && $failed == 0 ]]; then
  sentinel='REDISCLI_AUTH=$PROBE_PASSWORD redis-cli --no-auth-warning --user probe -p 26379 sentinel failover mymaster'
  kubectl -n redis exec sentinel-0 -- sh -c "$sentinel" >/dev/null || bad 'the Sentinel refuses a failover'
  for pod in "${pods[@]}"; do
    if vedetta "$pod" put vedetta-verify "$pod" after --ttl 1m >/dev/null; then
      ok "$pod: writes during a failover"
    else
      bad "$pod: a write during a failover failed"
    fi
  done
  vedetta "$first" failover-report || true
fi

for pod in "${pods[@]}"; do vedetta "$first" evict vedetta-verify "$pod" >/dev/null 2>&1 || true; done
exit "$failed"
