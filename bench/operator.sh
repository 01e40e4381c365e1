#!/bin/sh
# The operator on simulated nodes (kwok), with a client that creates bare pods in the same run as
# reference. Prints one JSON line. Options: --clusters, --workers, --restless, --idle; see --help.
set -eu
cd "$(dirname "$0")/.."
exec cargo run --quiet --release --locked --package dasklet-e2e -- scale "$@"
