#!/usr/bin/env bash
# Install Debian's Slurm for tests/cluster. Nothing is configured, and no service is left running:
# the tests start daemons of their own. Where that cannot be, the tests skip and say why.
set -euo pipefail
PATH=$PATH:/usr/sbin
for name in slurmctld slurmd slurmdbd sbatch mariadbd; do
  command -v "$name" >/dev/null || missing=1
done
[ -z "${missing:-}" ] && exit 0

packages=(slurmctld slurmd slurm-client slurm-wlm-basic-plugins slurmdbd mariadb-server)
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "setup: Slurm is missing; install it for make test-cluster: ${packages[*]}" >&2
  exit 0
fi
echo "setup: installing Slurm for its tests (200 MB)"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then # keep the packages from starting their services
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; }
{ install || { apt-get update -qq && install; }; } >/dev/null 2>&1 ||
  echo "setup: apt-get could not install ${packages[*]}; the tests that need them will say so" >&2
