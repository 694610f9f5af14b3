# Sourced by the other scripts: where the repository is, what must be installed, and how a build is run quietly.
# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
logs="$root/.build/logs"

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

# What the build links against, and what the page is made with.
build_packages=(libpq-dev libsqlite3-dev libzstd-dev libsnappy-dev librdkafka-dev zlib1g-dev libjs-chart.js python3 unzip)
# What the tests need on top: a PostgreSQL to start, a browser to drive, the seed's curl, a virtual environment.
test_packages=(postgresql chromium chromium-driver curl python3-venv procps)

is_installed() {
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs the named Debian packages that are missing; asks nobody for a password.
need_packages() {
  local missing=() package
  command -v dpkg-query >/dev/null || {
    say "This is not a Debian system, so these packages are taken as being there: $*"
    return 0
  }
  for package in "$@"; do is_installed "$package" || missing+=("$package"); done
  [ "${#missing[@]}" -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    fail "Debian packages are missing. Install them with this line, then run the command again:
  sudo apt-get install --yes ${missing[*]}"
  fi
  say "Installing ${missing[*]} …"
  quietly apt-update apt-get update
  DEBIAN_FRONTEND=noninteractive quietly apt-install \
    apt-get install --yes --no-install-recommends "${missing[@]}"
}

need_swift() {
  command -v swift >/dev/null || fail "Swift 6.1 or newer is needed, and there is no swift on the PATH.
Get it from https://www.swift.org/install, then run the command again."
}

# Runs a command with its output in a file of the given name; shows the file's end only if it fails.
quietly() {
  local name=$1 status=0
  shift
  mkdir -p "$logs"
  "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
  [ "$status" -eq 0 ] && return 0
  say "Failed with exit code $status: $*"
  grep -E 'error:|fatal:|^E: ' "$logs/$name.log" | sort -u | head -n 30 >&2 || true
  say "The last lines of $logs/$name.log:"
  tail -n 40 "$logs/$name.log" >&2
  return "$status"
}

# A virtual environment with the clients that the tests use, made anew when their list changes.
need_clients() {
  local list="$root/Tests/Clients/requirements.txt" stamp="$root/.venv/reeve-clients"
  cmp -s "$list" "$stamp" && return 0
  say "Installing the Python clients into .venv …"
  [ -x "$root/.venv/bin/python" ] || quietly venv python3 -m venv "$root/.venv"
  quietly pip "$root/.venv/bin/python" -m pip install --disable-pip-version-check --requirement "$list"
  cp "$list" "$stamp"
}

# Unpacks a Debian package into .build/tools and puts its programs on the PATH, where the named one is not there yet.
# Installed, these packages would start servers on the reader's machine.
need_unpacked() {
  local package=$1 program=$2 folder="$root/.build/tools/$1" work
  command -v "$program" >/dev/null && return 0
  if [ ! -x "$folder/usr/bin/$program" ] && command -v dpkg-deb >/dev/null; then
    say "Unpacking $package into .build/tools …"
    work=$(mktemp -d)
    chmod 755 "$work"
    (cd "$work" && quietly "$package-download" apt-get -o APT::Sandbox::User=root download "$package") || {
      [ "$(id -u)" -eq 0 ] || fail "Debian's lists of packages are missing. Run: sudo apt-get update"
      quietly apt-update apt-get update
      (cd "$work" && quietly "$package-download" apt-get -o APT::Sandbox::User=root download "$package")
    }
    mkdir -p "$folder"
    quietly "$package-unpack" dpkg-deb --extract "$work/$package"_*.deb "$folder"
    rm -rf "$work"
  fi
  export PATH="$folder/usr/bin:$PATH"
}

# Prometheus and promtool, which read what /metrics says and what `reeve export` writes; amtool, which reads the latter.
need_prometheus() {
  need_unpacked prometheus promtool
  need_unpacked prometheus-alertmanager amtool
}

# ClickHouse with the libraries that it is linked against, which Debian has as packages of their own.
need_clickhouse() {
  local package folder libraries=""
  for package in clickhouse-server clickhouse-common libpocoxml80 libpocoutil80 libpocofoundation80 libpoconet80 \
    libpoconetssl80 libpococrypto80 libpocojson80 libpocodata80 libpocodataodbc80 libpocomongodb80 libre2-9 \
    libjemalloc2 libcapnp-0.9.2 libfarmhash0 libmetrohash1 libcpuinfo0 libcctz2 libmariadb3 libpcre3 libodbc2 \
    libltdl7; do
    # None of them has a program of its name in usr/bin; the folder says whether it is there.
    [ -d "$root/.build/tools/$package" ] || need_unpacked "$package" "none-of-$package"
    for folder in "$root/.build/tools/$package"/{usr/lib,lib}/*-linux-gnu; do libraries="$folder:$libraries"; done
  done
  export PATH="$root/.build/tools/clickhouse-server/usr/sbin:$PATH" LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:-}"
}

# The newest ClickHouse as a Python module, apart from .venv: it needs no other, and is large.
need_chdb() {
  local folder="$root/.build/tools/chdb-26.9.0"
  [ -d "$folder" ] && return 0
  say "Fetching the newest ClickHouse into .build/tools …"
  quietly chdb "$root/.venv/bin/python" -m pip install --disable-pip-version-check --no-deps --target "$folder.new" \
    chdb-core==26.9.0
  mv "$folder.new" "$folder"
}

# Whether a build's stamp is newer than everything that goes into it.
is_fresh() {
  local stamp=$1
  [ -e "$stamp" ] || return 1
  [ -z "$(find "$root/Package.swift" "$root/Sources" "$root/Web" -newer "$stamp" -print -quit)" ]
}

# Builds the product `reeve`: `build_reeve debug` or `build_reeve release`. The stamp is dated before the build, so that
# a file saved during it counts as newer. Without a change this takes no time: SwiftPM itself would look around for
# seconds.
build_reeve() {
  local configuration=$1 stamp="$root/.build/reeve-$1.stamp"
  [ -x "$root/.build/$configuration/reeve" ] && is_fresh "$stamp" && return 0
  need_swift
  need_packages "${build_packages[@]}"
  "$root/script/assets"
  mkdir -p "$root/.build"
  touch "$stamp.begun"
  local -a more=()
  # What is released runs where no Swift is installed.
  [ "$configuration" != release ] || [ "$(uname)" != Linux ] || more=(--static-swift-stdlib)
  say "Building reeve ($configuration); the first time takes several minutes …"
  (cd "$root" && quietly "build-$configuration" \
    swift build --configuration "$configuration" --product reeve ${more[@]+"${more[@]}"})
  mv "$stamp.begun" "$stamp"
}
