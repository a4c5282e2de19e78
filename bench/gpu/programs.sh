# bench/gpu/programs.sh, sourced by check.sh: the programs of this run, out of a pack, a folder, or a build.

have() { command -v "$1" >/dev/null 2>&1; }
has_header() { printf '#include <%s>\n' "$2" | "${CXX:-c++}" -E -x "$1" - >/dev/null 2>&1; }

# programs: sets build, commit, architecture, nvcc_version, and what programs need of the environment.
programs() {
  pack=${MFQ_GPU_PACK-.gpu/pack.tar.gz}
  if [ -n "${MFQ_GPU_BUILD:-}" ]; then
    taken_as_they_are
  elif [ -n "$pack" ] && [ -e "$pack" ] && unpack; then
    :
  else
    build_here
  fi
  case $build in /*) ;; *) build=$PWD/$build logs=$PWD/$logs ;; esac
  export MFQ_CUDA_MODULE="$build/libmfq_cuda.so"
}

tree_commit() {
  name=$(git rev-parse --short=12 HEAD 2>/dev/null) || { echo "${MFQ_COMMIT:-unknown}"; return; }
  git diff --quiet HEAD 2>/dev/null || name=$name+changes
  echo "$name"
}

# What a pack says of itself.
read_about() {
  about_line() { sed -n "s/^$1 //p" "$build/about" 2>/dev/null; }
  commit=$(about_line commit) architecture=$(about_line architectures) nvcc_version=$(about_line nvcc)
}

taken_as_they_are() {
  read_about
  [ -n "$commit" ] || commit=$(tree_commit)
  say "programs of $build"
}

# 1 when the pack does not run on this machine.
unpack() {
  if ! tar xzf "$pack" -C "$build" 2>"$logs/unpack.log"; then
    say "$pack cannot be unpacked: $(tail -n 1 "$logs/unpack.log")"
    return 1
  fi
  export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$PWD/$build/lib"
  MFQ_CUDA_MODULE=$PWD/$build/libmfq_cuda.so limited 20 "$logs/pack.log" "$build/mfq" caps --device cuda:0
  code=$?
  read_about
  case $code in
    0 | 4) ;; # 4: there is no device, which the first step says
    *)
      say "the programs of $pack do not run here ($(tail -n 1 "$logs/pack.log" | cut -c1-200)), so they are built"
      return 1
      ;;
  esac
  say "programs of $pack"
  tree=$(tree_commit)
  [ "$tree" = "$commit" ] || [ "$tree" = unknown ] || say "the pack was made of $commit, while this tree is $tree"
}

unpack_debs() {
  have dpkg-deb || stop "MFQ_DEBS needs dpkg-deb, which is missing here"
  root=$PWD/$build/debs
  mkdir -p "$root"
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$root" || stop "$deb cannot be unpacked"; done
  lib=$root/usr/lib/$("${CC:-cc}" -print-multiarch)
  export PATH="$root/usr/bin:$PATH" CPATH="$root/usr/include${CPATH:+:$CPATH}" PKG_CONFIG_SYSROOT_DIR="$root" \
    LIBRARY_PATH="$lib${LIBRARY_PATH:+:$LIBRARY_PATH}" LD_LIBRARY_PATH="$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
    CMAKE_PREFIX_PATH="$root/usr${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}" \
    PKG_CONFIG_PATH="$lib/pkgconfig:$root/usr/share/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
}

find_missing() {
  missing=
  have "${CC:-cc}" && have "${CXX:-c++}" || missing="$missing, a C++ compiler (g++)"
  have nvcc || missing="$missing, nvcc (CUDA toolkit)"
  have cmake || missing="$missing, cmake"
  have ninja || have make || missing="$missing, ninja-build"
  have pkg-config || missing="$missing, pkg-config"
  pkg-config --exists jansson 2>/dev/null || missing="$missing, libjansson-dev"
  pkg-config --exists popt 2>/dev/null || missing="$missing, libpopt-dev"
  has_header c++ gtest/gtest.h || ls "${CMAKE_PREFIX_PATH:-/none}"/include/gtest/gtest.h >/dev/null 2>&1 ||
    missing="$missing, libgtest-dev"
  [ -z "$missing" ] || stop "no pack runs here, and a build lacks ${missing#, }; run make gpu-pack elsewhere," \
    "install them, or see MFQ_DEBS in bench/gpu/check.sh"
}

build_here() {
  debs=${MFQ_DEBS-}
  [ -n "$debs" ] || [ ! -d .gpu/debs ] || debs=.gpu/debs
  [ -z "$debs" ] || unpack_debs
  find_missing
  commit=$(tree_commit) nvcc_version=$(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
  # Machine code for exactly this GPU; from 9.0 on with what only that architecture has.
  number=$(gpu compute_cap | tr -d .)
  case $number in
    unknown) architecture=90a-real ;;
    9? | 1??) architecture=${number}a-real ;;
    *) architecture=$number-real ;;
  esac
  if have ninja; then generator=Ninja; else generator="Unix Makefiles"; fi
  box configure 60 cmake --preset gpu -G "$generator" -DMFQ_CUDA_ARCHITECTURES="$architecture" -DMFQ_WERROR=OFF &&
    box build 300 cmake --build "$build" --parallel "$(nproc)" --target gpu_tests bench ||
    stop "there are no programs to run"
}
