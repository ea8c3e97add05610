#!/usr/bin/env bash
# Build the image of the dna_lm tools with podman, as root: build_image.sh [NAME]
# BASE names the base image, TORCH is cuda, cpu or auto (see Containerfile). Where no registry can be reached and no BASE
# is given, debootstrap makes the base from Debian's packages. pip's settings on this machine are used in the build.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=${1:-localhost/dna_lm:$(sed -nE 's|.*"@TOOL_VERSION@">(.*)</token>|\1|p' tools/macros.xml)}
# With these options podman works without systemd.
podman=(podman --cgroup-manager=cgroupfs --runtime runc)

if [ -z "${BASE:-}" ]; then
    BASE=$(sed -n 's/^ARG BASE=//p' docs/admin/Containerfile)
    if ! "${podman[@]}" pull --quiet "$BASE" >/dev/null 2>&1; then
        release=$(. /etc/os-release && echo "$VERSION_CODENAME")
        BASE=localhost/debian:$release
        if ! "${podman[@]}" image exists "$BASE"; then
            echo "no image registry can be reached: making $BASE with debootstrap"
            root=$(mktemp -d)
            trap 'rm -rf "$root"' EXIT
            debootstrap --variant=minbase "$release" "$root" "${MIRROR:-http://deb.debian.org/debian}" >"$root.log" 2>&1 ||
                { tail "$root.log" >&2; exit 1; }
            tar -C "$root" -c . | "${podman[@]}" import --quiet - "$BASE" >/dev/null
        fi
    fi
fi

arguments=(--build-arg "BASE=$BASE" --build-arg "TORCH=${TORCH:-auto}")
pip_setting() {
    local variable=PIP_${1^^}
    variable=${variable//-/_}
    if [ -n "${!variable:-}" ]; then
        echo "${!variable}"
    else
        "${PYTHON:-python3}" -m pip config get "global.$1" 2>/dev/null || true
    fi
}
for setting in index-url extra-index-url find-links cert; do
    values=
    for value in $(pip_setting "$setting"); do
        case $setting:$value in
        find-links:/*) arguments+=(--volume "$value:$value:ro") ;;
        cert:*) arguments+=(--volume "$(readlink -f "$value"):/run/pip.crt:ro"); value=/run/pip.crt ;;
        # An index of files on this machine is not in the build.
        *:file:*) continue ;;
        esac
        values="$values $value"
    done
    variable=PIP_${setting^^}
    [ -z "$values" ] || arguments+=(--build-arg "${variable//-/_}=${values# }")
done

echo "building $name from $BASE, which takes some minutes"
# In a chroot and with the host's network, the image can also be built inside a container.
"${podman[@]}" build --quiet --isolation chroot --network host --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 \
    "${arguments[@]}" --file docs/admin/Containerfile --tag "$name" .
