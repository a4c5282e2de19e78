#!/bin/sh
# cmake/setup.sh demo|test|bench|install: sees that this machine has what that needs, checked by what it provides.
# Missing Debian packages are installed when we may (root, or sudo without a password); else one command is printed.
# MFQ_NO_INSTALL=1 only prints. Silent when nothing is missing.
set -u
goal=${1:-test}
cc=${CC:-cc}
cxx=${CXX:-c++}

have() { command -v "$1" >/dev/null 2>&1; }
has_header() { printf '#include <%s>\n' "$3" | "$1" -E -x "$2" - >/dev/null 2>&1; }
cmake_is_new() {
  have cmake && cmake --version | awk 'NR == 1 { split($3, v, "."); exit !(v[1] > 3 || (v[1] == 3 && v[2] >= 25)) }'
}
python_is_new() { python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; }

find_missing() {
  missing=
  { have "$cc" && has_header "$cc" c stdio.h; } || missing="$missing gcc libc6-dev"
  cmake_is_new || missing="$missing cmake"
  { have ninja || have make; } || missing="$missing ninja-build"
  have pkg-config || missing="$missing pkg-config"
  has_header "$cc" c jansson.h || missing="$missing libjansson-dev"
  has_header "$cc" c popt.h || missing="$missing libpopt-dev"
  case $goal in demo | test | bench) has_header "$cc" c dnnl.h || missing="$missing libdnnl-dev" ;; esac
  case $goal in demo | bench) have gnuplot || missing="$missing gnuplot-nox" ;; esac
  case $goal in test | bench) { have "$cxx" && has_header "$cxx" c++ vector; } || missing="$missing g++" ;; esac
  case $goal in
    test)
      has_header "$cxx" c++ gtest/gtest.h || missing="$missing libgtest-dev"
      has_header "$cxx" c++ boost/context/detail/fcontext.hpp || missing="$missing libboost-context-dev"
      python_is_new || missing="$missing python3"
      ;;
  esac
}

find_missing
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
  root=sudo
fi
if [ -n "${MFQ_NO_INSTALL:-}" ] || ! have apt-get || { [ -n "$root" ] && ! sudo -n true 2>/dev/null; }; then
  echo "mfq: \`make $goal\` needs packages that are missing here. Install them (Debian names), then repeat:" >&2
  echo "  ${root:+$root }sh -c 'apt-get update && apt-get install -y --no-install-recommends$missing'" >&2
  exit 1
fi

mkdir -p build
log=build/setup.log
echo "mfq: installing for \`make $goal\`:$missing (log: $log; a minute or so)"
if ! { $root apt-get update && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
  $missing; } >"$log" 2>&1; then
  tail -n 15 "$log" >&2
  echo "mfq: the installation failed; the whole log is $log" >&2
  exit 1
fi
find_missing
if [ -n "$missing" ]; then
  echo "mfq: still missing after the installation:$missing (cmake must be 3.25 or newer, Python 3.9 or newer)" >&2
  exit 1
fi
echo "mfq: packages are in place"
