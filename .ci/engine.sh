#!/bin/sh
# A Docker Engine of our own for the tests, beside any other on this host: own data, own sockets, and a network namespace
# of its own. Without that namespace every engine wants `docker0`; one told `--bridge none` even deletes that of others.
#   eval "$(.ci/engine.sh start)"   installs what is missing (Debian, root), starts it, waits until it answers
#   .ci/engine.sh stop              stops it and removes what it left
set -eu

start() {
  if ! command -v dockerd >/dev/null || ! command -v busybox >/dev/null; then
    apt-get -qq update >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends \
      docker.io iptables busybox-static >/dev/null 2>&2
  fi
  folder=$(mktemp -d "${TMPDIR:-/tmp}/cloudai-engine-XXXXXX")
  # The containerd namespaces keep it apart from others should the host's containerd serve them all.
  setsid unshare --net dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" \
    -H "unix://$folder/docker.sock" --iptables=false --ip-forward=false --ip-masq=false \
    --containerd-namespace "${folder##*/}" --containerd-plugins-namespace "${folder##*/}-plugins" \
    >"$folder/log" 2>&1 </dev/null &
  tries=0
  until DOCKER_HOST="unix://$folder/docker.sock" docker version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 150 ] || ! kill -0 $! 2>/dev/null; then
      echo "The Docker Engine did not start. The end of its log:" >&2
      tail -n 20 "$folder/log" >&2
      CLOUDAI_TEST_ENGINE_FOLDER=$folder stop
      echo false # for the eval
      exit 1
    fi
    sleep 0.2
  done
  echo "export CLOUDAI_TEST_DOCKER_HOST=unix://$folder/docker.sock"
  echo "export CLOUDAI_TEST_ENGINE_FOLDER=$folder"
}

stop() {
  folder=${CLOUDAI_TEST_ENGINE_FOLDER:?is not set: no engine was started here}
  pid=$(cat "$folder/pid" 2>/dev/null || true)
  if [ -n "$pid" ]; then
    kill "$pid" 2>/dev/null || true
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 200 ]; do tries=$((tries + 1)); sleep 0.1; done
    if kill -0 "$pid" 2>/dev/null; then kill -9 "$pid"; fi
  fi
  # What a daemon that was killed could not unmount.
  awk -v under="$folder/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
  rm -rf "$folder"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  *) echo "usage: $0 start|stop" >&2; exit 2 ;;
esac
