#!/bin/sh
# start.sh redis|sentinel: finds out who is master, writes a configuration for this pod, and becomes the server.
#
# Invariants: the order in which the six start does not matter. Nobody is made master by guessing while somebody may
# know better: an empty master empties its replicas. A Sentinel that does not answer is not "no Sentinel": it may hang in
# DNS or in TILT. The configuration is a copy, because both servers rewrite theirs.
# Not here: the passwords (a Secret gives them as variables) and what all Redis have in common (redis.conf).
set -eu

domain="redis.$POD_NAMESPACE.svc.${CLUSTER_DOMAIN:-cluster.local}"
self="$POD_NAME.$domain"
config=${CONFIG_DIR:-/config}
data=${DATA_DIR:-/data}

# ask NAME PORT COMMAND...  prints the answer, one value a line; or the error.
ask() {
  host=$1 port=$2
  shift 2
  REDISCLI_AUTH=$PROBE_PASSWORD timeout 2 redis-cli --no-auth-warning --user probe -h "$host" -p "$port" --raw "$@" 2>&1 || true
}

# What each Sentinel says, a line each: the name of the master, "absent" (nobody listens there) or "unsure".
opinions() {
  for i in 0 1 2; do
    case "$(ask "sentinel-$i.$domain" 26379 sentinel get-master-addr-by-name mymaster | head -n 1)" in
      redis-0."$domain") echo "redis-0.$domain" ;;
      redis-1."$domain") echo "redis-1.$domain" ;;
      redis-2."$domain") echo "redis-2.$domain" ;;
      *refused* | *'not known'* | *'No address'* | *'No route'*) echo absent ;;
      *) echo unsure ;;
    esac
  done
}

# Another Redis that says that it is a master.
mastering_peer() {
  for i in 0 1 2; do
    peer="redis-$i.$domain"
    [ "$peer" != "$self" ] || continue
    if [ "$(ask "$peer" 6379 role | head -n 1)" = master ]; then echo "$peer"; return; fi
  done
}

# Sets `master`; empty: nothing has ever run here. Fails if that cannot be told: the kubelet tries again.
find_master() {
  master='' silent=0 mine=0 round=0
  while [ "$round" -lt 90 ]; do
    round=$((round + 1))
    said=$(opinions)
    # Two of three are a majority, as for the Sentinels themselves.
    named=$(echo "$said" | grep -F "$domain" | sort | uniq -c | awk '$1 >= 2 { print $2; exit }')
    if [ -n "$named" ] && [ "$named" != "$self" ]; then master=$named; return; fi
    if [ "$named" = "$self" ]; then
      # This was the master and comes back with less than its replicas have. So it waits until one of them is
      # promoted; only if none can be, it goes on with what it has.
      mine=$((mine + 1))
      if [ "$mine" -ge 60 ]; then master=$self; return; fi
    elif ! echo "$said" | grep -q unsure; then
      # Too few Sentinels run to decide anything, and none hangs: a peer's word for itself will do.
      master=$(mastering_peer)
      if [ -n "$master" ]; then return; fi
    fi
    if [ "$(echo "$said" | grep -c absent)" = 3 ]; then silent=$((silent + 1)); else silent=0; fi
    if [ "$silent" -ge 3 ]; then return; fi
    if [ $((round % 5)) = 1 ]; then echo "$self waits; the Sentinels said: $(echo "$said" | tr '\n' ' ')"; fi
    sleep 1
  done
  echo 'nobody can tell who is master' >&2
  exit 1
}

start_redis() {
  find_master
  # The very first start of all: the first pod begins, and the others follow it.
  : "${master:=redis-0.$domain}"
  cat >"$data/users.acl" <<ACL
user default off
user replica on >$REPLICA_PASSWORD ~* &* +psync +replconf +ping
user sentinel on >$SENTINEL_PASSWORD allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill
user probe on >$PROBE_PASSWORD resetchannels +ping +role +info
user vedetta on >$VEDETTA_PASSWORD ~* resetchannels +@read +@write +@scripting +@connection -@dangerous +role +info +time
ACL
  cp "$config/redis.conf" "$data/redis.conf"
  cat >>"$data/redis.conf" <<CONF
masterauth $REPLICA_PASSWORD
replica-announce-ip $self
replica-announce-port 6379
CONF
  if [ "$master" != "$self" ]; then echo "replicaof $master 6379" >>"$data/redis.conf"; fi
  echo "$self starts; the master is $master"
  exec redis-server "$data/redis.conf"
}

start_sentinel() {
  find_master
  # On the very first start a Redis may still be on its way.
  tries=0
  while [ -z "$master" ] && [ "$tries" -lt 60 ]; do
    sleep 1
    tries=$((tries + 1))
    master=$(mastering_peer)
  done
  [ -n "$master" ] || { echo 'no Redis says that it is a master' >&2; exit 1; }
  # Names, not addresses: a pod comes back under another address, and would be taken for somebody else.
  # `resolve-hostnames` must come before the first name.
  cat >"$data/sentinel.conf" <<CONF
port 26379
protected-mode no
dir $data
user default off
user probe on >$PROBE_PASSWORD allchannels +@all
user vedetta on >$VEDETTA_PASSWORD allchannels -@all +auth +hello +ping +info +role +client +command +subscribe +psubscribe +unsubscribe +punsubscribe +sentinel|myid +sentinel|master +sentinel|get-master-addr-by-name +sentinel|sentinels +sentinel|replicas
sentinel sentinel-user probe
sentinel sentinel-pass $PROBE_PASSWORD
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $self
sentinel announce-port 26379
sentinel monitor mymaster $master 6379 2
sentinel auth-user mymaster sentinel
sentinel auth-pass mymaster $SENTINEL_PASSWORD
sentinel down-after-milliseconds mymaster 5000
sentinel failover-timeout mymaster 15000
sentinel parallel-syncs mymaster 1
CONF
  echo "$self starts; the master is $master"
  exec redis-sentinel "$data/sentinel.conf"
}

case "${1-}" in
  redis) start_redis ;;
  sentinel) start_sentinel ;;
  *) echo 'usage: start.sh redis|sentinel' >&2; exit 2 ;;
esac
