#!/bin/sh
# pkg_config.sh PREFIX CC CXX WITH_IO VERSION: builds and runs the consumers with what pkg-config says, shared and static.
set -eu
prefix=$1 cc=$2 cxx=$3 with_io=$4 version=$5
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pc=$(find "$prefix" -name mfq.pc)
libdir=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion mfq)" = "$version" ] || { echo "pkg-config does not say version $version"; exit 1; }

run_shared() { LD_LIBRARY_PATH=$libdir "$@" "$version"; }

# The flags are lists of words.
# shellcheck disable=SC2046
{
  "$cc" -std=c11 "$here/consumer.c" -o "$work/c_shared" $(pkg-config --cflags --libs mfq)
  run_shared "$work/c_shared"
  "$cxx" -std=c++17 "$here/consumer.cc" -o "$work/cxx_shared" $(pkg-config --cflags --libs mfq)
  run_shared "$work/cxx_shared"

  # The archive by name; what it needs besides is what --static adds to the plain line.
  "$cc" -std=c11 $(pkg-config --cflags mfq) "$here/consumer.c" -o "$work/c_static" "$libdir/libmfq.a" \
    $(pkg-config --static --libs-only-l mfq | sed 's/-lmfq\( \|$\)//')
  "$work/c_static" "$version"

  if [ "$with_io" = ON ]; then
    "$cc" -std=c11 -DWITH_IO "$here/consumer.c" -o "$work/io_shared" $(pkg-config --cflags --libs mfq_io)
    run_shared "$work/io_shared"
  fi
}
