# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The verbs that show and prove something: unit, test, demo, bench.

PASSED=0 FAILED=0 SKIPPED=0

count() {
        PASSED=$((PASSED + $1)) FAILED=$((FAILED + $2)) SKIPPED=$((SKIPPED + $3))
}

total() {
        local line="$PASSED passed, $FAILED failed, $SKIPPED skipped"
        if [[ ! -t 1 ]]; then
                echo "$line"
        elif ((FAILED == 0 && PASSED > 0)); then
                echo "$GREEN$line$PLAIN"
        else
                echo "$RED$line$PLAIN"
        fi
        ((FAILED == 0 && PASSED > 0))
}

# unit_tests VARIANT PATTERN: compiles, and runs the meson tests whose names match.
unit_tests() {
        local variant=$1 pattern=$2 names log results
        compile "$variant"
        log=$BUILD/meson-logs/testlog.json
        rm -f "$TREE/$log"

        # "suite / name" in each line; the name is what meson takes as argument.
        mapfile -t names < <(in_root meson test -C "$BUILD" --no-rebuild --list 2>/dev/null </dev/null |
                sed -n 's,^.* / ,,p; /^[^ ]*$/p' | grep -E -e "$pattern" | sort -u)
        if ((${#names[@]} == 0)); then
                note "no unit tests${pattern:+ match $pattern}"
                return
        fi

        say "unit tests in $BUILD/"
        # Sanitizers report and stop; a leak is a failure too.
        interruptible locked "$TREE/.machine/$BUILD.lock" in_root env \
                ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:intercept_strndup=0 \
                UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
                meson test -C "$BUILD" --no-rebuild --print-errorlogs "${names[@]}" || :

        [[ -e $TREE/$log ]] || fail "meson test ended without a result"
        mapfile -t results < <(sed -n 's/.*"result": "\([A-Z]*\)".*/\1/p' "$TREE/$log")
        count "$(among 'OK|EXPECTEDFAIL' "${results[@]}")" \
                "$(among 'FAIL|ERROR|TIMEOUT|INTERRUPT|UNEXPECTEDPASS' "${results[@]}")" "$(among SKIP "${results[@]}")"
}

among() {
        local pattern=$1
        shift
        printf '%s\n' "$@" | grep -c -x -E -e "$pattern" || :
}

# integration_tests PATTERN: boots a machine and runs test/integration in it.
integration_tests() {
        local pattern=$1 status=0 report errors failures skipped tests
        # The tree is read-only there: no cache, no byte code.
        local pytest=(env -C /usr/src/postd/test/integration python3 -B -m pytest -p no:cacheprovider --rootdir=. -k "$pattern")

        # Booting is in vain when nothing matches.
        in_root "${pytest[@]}" --collect-only --quiet >"$TMP/collected" 2>&1 </dev/null || status=$?
        if ((status == 5)); then
                note "no integration tests${pattern:+ match $pattern}"
                return
        elif ((status != 0)); then
                cat "$TMP/collected" >&2
                warn "the integration tests could not be collected"
                count 0 1 0
                return
        fi

        boot_transient
        say "integration tests"
        status=0
        interruptible exec_in "$TRANSIENT" "${pytest[@]}" --verbose -ra --tb=short --timeout=300 \
                --junit-xml=/run/pytest.xml </dev/null || status=$?
        report=$(exec_in "$TRANSIENT" cat /run/pytest.xml | grep -o '<testsuite [^>]*>') || :
        tests=$(attribute tests "$report") failures=$(attribute failures "$report")
        errors=$(attribute errors "$report") skipped=$(attribute skipped "$report")
        if [[ -z $tests ]]; then
                warn "pytest ended with status $status and without a result"
                count 0 1 0
        else
                # A test whose tear-down fails counts as one of each.
                count $((tests - failures - errors - skipped)) $((failures + errors)) "$skipped"
        fi
        stop_machine "$TRANSIENT"
        TRANSIENT=
}

attribute() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$2"; }

# outside_tests PATTERN: those that need the host, because they boot machines themselves or cut their power.
outside_tests() {
        local pattern=$1 script status
        export MACHINE=$SELF
        for script in "$TREE"/test/outside/*.sh; do
                [[ -x $script ]] || continue
                grep -q -E -e "$pattern" <<<"${script##*/}" || continue
                say "test/outside/${script##*/}"
                status=0
                interruptible "$script" </dev/null || status=$?
                case $status in
                0) count 1 0 0 ;;
                77) count 0 0 1 ;;
                *)
                        warn "test/outside/${script##*/} failed with status $status"
                        count 0 1 0
                        ;;
                esac
        done
}

verb_unit() {
        prepare
        unit_tests '' "${1-}"
        total
}

verb_test() {
        local pattern=${1-}
        # shellcheck disable=SC2034 # for cleanup: the total line is owed
        COUNTING=1
        prepare
        unit_tests '' "$pattern"
        unit_tests sanitize "$pattern"
        integration_tests "$pattern"
        outside_tests "$pattern"
        # shellcheck disable=SC2034
        COUNTING=
        total
}

verb_demo() {
        prepare
        boot_transient
        interruptible exec_in "$TRANSIENT" bash /usr/src/postd/test/lib/demo
}

verb_bench() {
        local scripts=() name
        export MACHINE=$SELF
        if (($# == 0)); then
                for name in "$TREE"/test/bench/*; do
                        [[ ! -f $name || ! -x $name ]] || scripts+=("$name")
                done
                ((${#scripts[@]})) || fail "there are no benchmarks in test/bench yet"
        fi
        for name; do
                [[ -x $TREE/test/bench/$name ]] || fail "there is no benchmark test/bench/$name"
                scripts+=("$TREE/test/bench/$name")
        done
        prepare
        for name in "${scripts[@]}"; do
                say "${name##*/}"
                interruptible "$name"
        done
}
