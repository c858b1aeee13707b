# Sourced by the other scripts after _env.sh: makes the environments with the real NAT that the tests run it from.
# They are built once, from known-good constraints, and kept in .cache/nat.

att_nat() {
  local version
  for version in 1.4 1.9; do
    python -m att.runtime.prepare ".cache/nat/$version" --nat "$version" ||
      fail "the environment with NAT $version could not be built; what was tried stands above." \
        "Check the network and the package index, then run the same command again."
  done
}
