#!/bin/sh
# Gives this container's process names that no other replica has, and becomes the command.
#
# WORKER_NAME and GATEWAY_NAME are said once a service; the host's name, which is the container's id
# under Docker and the pod's name under Kubernetes, tells the replicas apart. It stays the same when
# the same container starts again. The settings take 60 characters; the end is what differs.
set -eu

host=$(hostname)

named() {
    printf '%s-%s' "$1" "$host" | tail -c 60
}

WORKER_NAME=$(named "${WORKER_NAME:-worker}")
GATEWAY_NAME=$(named "${GATEWAY_NAME:-gateway}")
# How Faust tells the members of a group apart, and where they find each other.
NODE_CANONICAL_URL="http://$host:${WORKER_PORT:-6066}"
export WORKER_NAME GATEWAY_NAME NODE_CANONICAL_URL

# exec: the command gets SIGTERM itself.
exec "$@"
