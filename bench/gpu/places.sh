# bench/gpu/places.sh, sourced by check.sh: where this machine has NVIDIA's libraries and tools. A toolkit, a Python
# package and the loader each have them somewhere else. Sets $how to the kind of place.

# The folders of installed Python packages, of every Python that may hold some.
python_packages() {
  for python in python3 /opt/*/bin/python3 /opt/*/.venv/bin/python3; do
    command -v "$python" >/dev/null 2>&1 &&
      "$python" -c 'import site, sysconfig
print("\n".join([sysconfig.get_paths()["purelib"], *site.getsitepackages()]))' 2>/dev/null
  done | sort -u
}

first_file() { # FILE...: the first that exists
  for file in "$@"; do
    [ ! -e "$file" ] || { echo "$file"; return 0; }
  done
  return 1
}

# find_library FILE...: prints the path of the first name that is anywhere, and how it was found.
find_library() {
  toolkit=$(command -v nvcc) && toolkit=$(dirname "$(dirname "$(readlink -f "$toolkit")")")
  for file in "$@"; do
    found=$(IFS=:; for folder in ${LD_LIBRARY_PATH:-}; do first_file "$folder/$file" && break; done) &&
      [ -n "$found" ] && { echo "$found, by LD_LIBRARY_PATH"; return; }
    found=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | awk -v file="$file" '$1 == file { print $NF; exit }')
    [ -z "$found" ] || { echo "$found, by the loader"; return; }
    found=$(first_file ${toolkit:+"$toolkit/lib64/$file" "$toolkit/lib/$file" "$toolkit"/targets/*/lib/"$file"} \
      /usr/local/cuda*/lib64/"$file" /usr/local/cuda*/targets/*/lib/"$file") && { echo "$found, of a toolkit"; return; }
    for folder in $packages; do
      found=$(first_file "$folder"/nvidia/*/lib/"$file") && { echo "$found, of a Python package"; return; }
    done
  done
  for file in "$@"; do
    found=$(timeout 10 find /usr /opt -xdev -name "$file" 2>/dev/null | head -n 1)
    [ -z "$found" ] || { echo "$found, by a search"; return; }
  done
}

find_sanitizer() {
  command -v compute-sanitizer ||
    first_file /usr/local/cuda*/bin/compute-sanitizer /usr/local/cuda*/compute-sanitizer/compute-sanitizer \
      /opt/nvidia/*/*/compute-sanitizer ||
    for folder in $packages; do first_file "$folder"/nvidia/*/bin/compute-sanitizer && break; done
}

# A Python that has torch, without waiting for torch to load.
find_torch() {
  for python in python3 /opt/*/bin/python3 /opt/*/.venv/bin/python3; do
    command -v "$python" >/dev/null 2>&1 || continue
    "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null &&
      { command -v "$python"; return; }
  done
}

# look: sets and exports what programs need, and says which was taken.
look() {
  packages=$(python_packages)
  sanitizer=$(find_sanitizer) || sanitizer=
  torch=$(find_torch) || torch=
  take MFQ_CUBLASLT cuBLASLt libcublasLt.so.13 libcublasLt.so.12
  cublaslt=$taken
  take MFQ_CUDNN cuDNN libcudnn.so.9
  cudnn=$taken
  say "compute-sanitizer: ${sanitizer:-not found, so memory accesses and races are not checked}"
  say "torch: ${torch:-not found, so it is no peer}"
}

# take VARIABLE NAME FILE...: what the environment names, or what is found, goes into VARIABLE and `taken`.
take() {
  variable=$1 title=$2
  shift 2
  eval "taken=\${$variable:-}"
  if [ -n "$taken" ]; then
    say "$title: $taken, by $variable"
    return
  fi
  found=$(find_library "$@")
  taken=${found%,*}
  say "$title: ${found:-not found ($*): what needs it is skipped}"
  [ -z "$taken" ] || export "$variable=$taken"
}
