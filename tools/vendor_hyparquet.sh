#!/usr/bin/env bash
# Bundle hyparquet, with which the explorer reads Parquet, into src/codewatt/explorer/vendor. Needs
# Node.js and a network. For a new version change it here, in vendor/README.md and in the test.
set -euo pipefail
hyparquet=1.33.0 esbuild=0.28.2
vendor=$(cd "$(dirname "$0")/../src/codewatt/explorer/vendor" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-save "hyparquet@$hyparquet" "esbuild@$esbuild"
echo 'export { parquetRead } from "hyparquet";' >entry.js
npx esbuild entry.js --bundle --conditions=browser --format=iife --global-name=hyparquet \
  --target=es2022 --log-level=warning --outfile="$vendor/hyparquet.js" \
  --banner:js="// hyparquet $hyparquet (MIT licence, https://github.com/hyparam/hyparquet); made by esbuild, see README.md."
cp node_modules/hyparquet/LICENSE "$vendor/hyparquet.LICENSE"
sha256sum "$vendor/hyparquet.js"
