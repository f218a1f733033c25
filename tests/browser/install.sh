#!/bin/sh
# Installs Chromium and its driver from Debian's packages, where they are missing and this user may install.
# Says nothing where there is nothing to do; the tests say what is missing where it cannot.
set -eu

command -v chromedriver >/dev/null && exit 0
command -v apt-get >/dev/null || exit 0
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=sudo
else
    exit 0
fi
{
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -qq --yes --no-install-recommends chromium chromium-driver
} >&2
