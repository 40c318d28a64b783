# What the application of the scenario does, over and over, with at most 15 seconds for each call.
#
# Invariants: it tells of every call that failed (FAILED), of values that are not the last that it stored (LOST: Redis may
# lose the tail of a master that died), and of rounds that had to wait (WAITED). The number of rounds is in /tmp/rounds.
# Not here: judging that (scenario.py).
round=0
# What is told goes past the redirections of answers.
exec 3>&1

call() {
  vedetta --timeout 15s "$@" 2>/tmp/error
  status=$?
  # 1 is an answer: a miss, or a condition that is false.
  if [ "$status" -gt 1 ]; then echo "FAILED $* with $status: $(cat /tmp/error)" >&3; fi
  return "$status"
}

# A native sidecar is there before the application; in container mode it has to wait.
until vedetta health >/dev/null 2>&1; do sleep 0.1; done

# A cache of its own would live by this stream; it begins again when it ends.
while :; do
  vedetta watch shop 2>&1
  echo 'the stream ended'
  sleep 0.2
done >/tmp/watched &

while :; do
  round=$((round + 1))
  began=$(date +%s%3N)
  call put shop "own-$POD" "$round" >/dev/null
  got=$(call get shop "own-$POD")
  if [ "$got" != "$round" ]; then echo "LOST $round, got '$got'"; fi
  call get shop shared >/dev/null
  call get shop "nothing-$round" >/dev/null
  if [ $((round % 10)) = 0 ]; then
    call put shop "member-$POD" "$round" --group all --ttl 30s >/dev/null
    call flush-group shop all >/dev/null
    call evict shop "own-$POD" >/dev/null
  fi
  took=$(($(date +%s%3N) - began))
  if [ "$took" -gt 1000 ]; then echo "WAITED $took ms"; fi
  # Whoever reads it finds a whole number.
  echo "$round" >/tmp/rounds.new
  mv /tmp/rounds.new /tmp/rounds
done
