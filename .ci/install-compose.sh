#!/usr/bin/env bash
# Installs Docker Compose 5.5.1 from the Go module proxy into a cache; prints the program's path. It reads and resolves a
# compose file (`docker-compose config`) without a Docker engine.
# Cold: about 2 min on 2 idle cores. Warm: instant. Needs Go >= 1.26.3. Checksum verification stays on throughout.
set -euo pipefail
COMPOSE=v5.5.1
key="docker-compose-$COMPOSE-$(go env GOOS)-$(go env GOARCH)-r1"
root="${BACKENDS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/otel-backends}"
bin="$root/$key/bin"
mkdir -p "$root"
exec 9>"$root/lock"; flock 9          # two CI runs on one machine: the second waits
if [ ! -e "$root/$key/ok" ]; then
  work="$(mktemp -d "$root/build.XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/bin" "$work/compose"
  # throw-away caches: only the program is kept
  export GOMODCACHE="$work/mod" GOCACHE="$work/cache" GOBIN="$work/bin" GOFLAGS="-modcacherw -buildvcs=false"
  # Its go.mod has exclude directives, which go install pkg@version refuses; so a module that requires it, with the
  # versions and hashes that the release itself pins.
  cd "$work/compose"
  src="$(go mod download -json "github.com/docker/compose/v5@$COMPOSE" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')"
  go mod init ci.local/compose 2>/dev/null
  for excluded in $(sed -n '/^exclude (/,/^)/s/^\t\([^/].*\) \(v.*\)$/\1@\2/p' "$src/go.mod"); do
    go mod edit -exclude "$excluded"
  done
  cp "$src/go.sum" go.sum && chmod u+w go.sum
  go get -tool "github.com/docker/compose/v5/cmd@$COMPOSE" >&2
  go build -trimpath -ldflags "-s -w -X github.com/docker/compose/v5/internal.Version=$COMPOSE" \
    -o "$work/bin/docker-compose" github.com/docker/compose/v5/cmd >&2
  cd "$root"
  rm -rf "${root:?}/$key"; mkdir -p "$root/$key"; mv "$work/bin" "$bin"; touch "$root/$key/ok"
fi
echo "$bin/docker-compose"
