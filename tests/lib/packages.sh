# shellcheck shell=bash
# Debian packages that building, testing, measuring and the demo need; sourced by tests/run, tests/*/run and deploy/demo.
#
# A thing counts as there when it works, not when a package of that name is installed: Node.js from elsewhere is as good
# as Debian's. Only what is missing is installed, and apt is not even asked when nothing is.

# A library, as the compiler would find it; without pkg-config none is found, and nobody needs to be told so.
library() { pkg-config --exists "$1" 2>/dev/null; }

# The check for each package.
have() {
	case $1 in
	libpq-dev) library libpq ;;
	libmariadb-dev) library libmariadb ;;
	mariadb-server) [ -x /usr/sbin/mariadbd ] ;;
	libsqlite3-dev) library 'sqlite3 >= 3.37' ;;
	libwebsockets-dev) library libwebsockets ;;
	libwebsockets-evlib-uv) compgen -G '/usr/lib/*/libwebsockets-evlib_uv.so' >/dev/null ;;
	libuv1-dev) library libuv ;;
	libjansson-dev) library jansson ;;
	libjwt-dev) library libjwt ;;
	libssl-dev) library openssl ;;
	libpcre2-dev) library libpcre2-8 ;;
	libcmocka-dev) library cmocka ;;
	libclang-rt-14-dev) compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer*' >/dev/null ;;
	postgresql-15) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
	postgresql-15-pgq3) compgen -G '/usr/lib/postgresql/*/lib/pgq_triggers.so' >/dev/null ;;
	nginx-light) [ -x /usr/sbin/nginx ] ;;
	libnginx-mod-nchan) [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] ;;
	nats-server) [ -x /usr/sbin/nats-server ] ;;
	iproute2) command -v ip >/dev/null ;;
	iptables) command -v iptables >/dev/null || [ -x /usr/sbin/iptables ] ;;
	libfaketime) compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null ;;
	pgbouncer) [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null ;;
	ninja-build) command -v ninja >/dev/null ;;
	nodejs) node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' 2>/dev/null ;;
	universal-ctags) ctags --version 2>/dev/null | grep -q Universal ;;
	binutils) command -v readelf >/dev/null && command -v objdump >/dev/null ;;
	ca-certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

missing_of() {
	local package
	for package in "$@"; do
		have "$package" || printf '%s ' "$package"
	done
}

# Runs a command as root.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Installing PostgreSQL on Debian creates a database, and that of any server starts it on the usual port. Nobody asked for
# those: the creation is switched off, the starts are refused, for the length of this installation, and Debian's own settings are
# put back, also when it is interrupted: hence a shell of its own.
install_quietly() (
	conf=/etc/postgresql-common/createcluster.conf policy=/usr/sbin/policy-rc.d refuses=
	apt="env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
	put_back() {
		[ -z "$refuses" ] || as_root rm -f $policy
		[ ! -e "$conf.before-esink" ] || as_root mv "$conf.before-esink" "$conf"
	}
	trap put_back EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	as_root env DEBIAN_FRONTEND=noninteractive apt-get update
	if [ ! -e $policy ]; then
		refuses=1
		printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
		as_root chmod +x $policy
	fi
	case " $* " in
	*" postgresql-15"*)
		as_root $apt postgresql-common || exit
		as_root cp "$conf" "$conf.before-esink"
		echo 'create_main_cluster = false' | as_root tee -a "$conf" >/dev/null
		;;
	esac
	as_root $apt "$@"
)

# need PACKAGE...: afterwards all are there, or the script has ended with a list of what is not.
need() {
	local missing
	missing=$(missing_of "$@")
	[ -z "$missing" ] && return
	if [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then
		echo "esink: this is not Debian, so nothing was installed. Missing (by their names in Debian 12): $missing" >&2
		exit 1
	fi
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		echo "esink: some packages are missing, and there is no sudo here. Once, as root: apt-get update && apt-get install --no-install-recommends $missing" >&2
		exit 1
	fi
	echo "== install: $missing"
	# shellcheck disable=SC2086 # a list of words
	install_quietly $missing || { echo "esink: apt-get could not install: $missing" >&2; exit 1; }
	missing=$(missing_of "$@")
	[ -z "$missing" ] && return
	echo "esink: still missing after the installation: $missing (esink is built for Debian 12 or newer)" >&2
	exit 1
}

build_packages="gcc pkg-config meson ninja-build python3 libpq-dev libmariadb-dev libsqlite3-dev libwebsockets-dev libwebsockets-evlib-uv libuv1-dev
	libjansson-dev libjwt-dev libssl-dev libpcre2-dev"
demo_packages="sqlite3 curl"
fuzz_packages="clang libclang-rt-14-dev libcmocka-dev"
static_packages="clang-tidy cppcheck binutils"
test_packages="$build_packages $demo_packages $static_packages $fuzz_packages postgresql-15 mariadb-server nodejs npm chromium universal-ctags openssl
	ca-certificates pgbouncer nginx-light iproute2 git"
