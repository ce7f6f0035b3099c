#!/usr/bin/env bash
# Install Debian's Chromium for the tests of the explorer (tests/unit/explorer). Where that cannot
# be, these tests skip and say why.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "setup: no Chromium or Chrome; install one for the tests of the explorer: chromium" >&2
  exit 0
fi
echo "setup: installing Chromium for the tests of the explorer (400 MB)"
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }
{ install || { apt-get update -qq && install; }; } >/dev/null 2>&1 ||
  echo "setup: apt-get could not install chromium; the tests that need it will say so" >&2
