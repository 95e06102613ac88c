# shellcheck shell=bash
# What stands before every run of whole relays: the packages of Debian, a build, the npm packages, and as many open files as may be.
# Sourced from the root of the tree by tests/faults/run and tests/soak/run. A binary that is there is taken: ESINK_BINARY=PATH.
. tests/lib/packages.sh

prepare() { # more packages...
	# shellcheck disable=SC2086 # a list of words
	need $test_packages "$@"
	if [ -z "${ESINK_BINARY-}" ]; then
		echo "== build"
		[ -e build/test/build.ninja ] || meson setup build/test . -Dwerror=true >build.log 2>&1 || { cat build.log; exit 1; }
		rm -f build.log
		ninja -C build/test src/app/esink >build/test/build.log 2>&1 || { tail -n 40 build/test/build.log; exit 1; }
		export ESINK_BINARY=$PWD/build/test/src/app/esink
	fi
	[ -x "$ESINK_BINARY" ] || { echo "there is no binary at $ESINK_BINARY" >&2; exit 2; }
	local at=tests/e2e/node_modules/.package-lock.json
	if [ ! -e $at ] || [ tests/e2e/package-lock.json -nt $at ]; then
		echo "== npm packages"
		npm ci --prefix tests/e2e --no-audit --no-fund && touch $at || exit 1
	fi
	ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
}
