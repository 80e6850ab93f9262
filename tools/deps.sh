#!/bin/sh
# Installs the Debian packages that a set of tasks needs and that are missing; silent and quick when none is.
#
#     tools/deps.sh SET ...        sets: build test fuzz format interop tcl
#
# As root, or with sudo when it asks for no password; otherwise it prints the command to run and exits 1. On a system
# without dpkg it says what is needed and goes on: the build will tell what is missing.
# A server package (redis-server) is installed without its service: it is neither started now nor at the next boot. A
# service that was there before is not touched.
set -eu

packages_of() {
    case $1 in
        build) echo "gcc libc6-dev make meson ninja-build pkg-config python3 libjemalloc-dev liburing-dev" \
                    "libluajit-5.1-dev lua-cjson-dev libedit-dev libssl-dev libxxhash-dev" ;;
        test) echo "g++ binutils libcmocka-dev redis-server libuv1-dev libev-dev libglib2.0-dev" ;;
        fuzz) echo "clang llvm libclang-rt-dev" ;;
        format) echo "clang-format" ;;
        interop) echo "python3-venv redis-tools" ;;
        tcl) echo "tcl tclx8.4 redis-tools" ;;
        *) echo "deps.sh: there is no set '$1'" >&2; exit 2 ;;
    esac
}

wanted=
for set_name in "$@"; do
    wanted="$wanted $(packages_of "$set_name")"
done

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is not a Debian system; needed are the equivalents of:$wanted" >&2
    exit 0
fi

# One look at the package database. "pkgconf" and a clang of another version count for what they provide.
installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null |
    sed -n 's/^installed //p' | sed 's/([^)]*)//g; s/,/ /g' | tr '\n' ' ') "
missing=
for package in $wanted; do
    case $installed in
        *" $package "*) ;;
        *) case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac ;;
    esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "Missing packages. Please run:" >&2
        echo "    sudo apt-get install -y --no-install-recommends$missing" >&2
        exit 1
    fi
fi

# While /usr/sbin/policy-rc.d says 101, packages do not start their services.
policy=/usr/sbin/policy-rc.d
policy_saved=
hold_services() {
    if [ -e $policy ]; then
        $as_root mv $policy $policy.before-roan
        policy_saved=yes
    fi
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    trap release_services EXIT
    trap 'exit 130' INT TERM
}
release_services() {
    $as_root rm -f $policy
    if [ -n "$policy_saved" ]; then
        $as_root mv $policy.before-roan $policy
    fi
}

install_missing() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}

echo "Installing:$missing" >&2
case $missing in *redis-server*) hold_services ;; esac
install_missing || { $as_root apt-get update -q && install_missing; }
case $missing in
    *redis-server*)
        # Not at the next boot either.
        if [ -d /run/systemd/system ]; then
            $as_root systemctl disable redis-server >/dev/null 2>&1 || true
        elif command -v update-rc.d >/dev/null 2>&1; then
            $as_root update-rc.d redis-server disable >/dev/null 2>&1 || true
        fi ;;
esac
