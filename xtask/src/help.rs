//! Help texts.

/// What `cargo xtask --help` prints.
pub(crate) const OVERVIEW: &str = "\
Usage: cargo xtask COMMAND [--help]

  test          everything the README promises: tests and documentation examples
  ci            all gates below, with times and a closing table
  deps          only the allowed edges between crates; cores free of tokio
  reqs          every requirement that is called done has a test
  spec          the requirements of SMRP are the statements of docs/smrp.md
  tidy          file sizes; papers name what exists; wire examples are well formed
  conformance   the conformance cases, and docs/conformance.md
  mutants       faults planted in the protocols, which the conformance cases have to notice
  counts        instructions and allocations of the hot paths, as valgrind counts them
  dissector     docs/wire/smp121.lua, for Wireshark
  attack        attacks on the release binary, with a bystander, and docs/attacks.md
  soak          every stack under load for minutes, with faults, and docs/soak.md
  models        all orders of threads for shared state that was written by hand
  interop       exchanges with programs that nobody here wrote
  fuzz-smoke    each fuzz target for a short while
  bench         figures beside peers

Exit code: 0 passed, 1 failed, 2 command line not understood.";

const TEST: &str = "\
Usage: cargo xtask test [-p CRATE]...

Runs all tests (with cargo-nextest if it is there, else `cargo test`), then all documentation examples.
The vectors are read from ../shared/vectors or from the path in POSTROAD_VECTORS; without them the tests that
need them say in one line that they were skipped. With CI=true that is a failure.

Example: cargo xtask test -p smp-framing";

const CI: &str = "\
Usage: cargo xtask ci [--only STEP,STEP..] [--list] [--fuzz-seconds N]

Runs every gate to the end, even when one fails, prints a table with times, and closes with the line
`N passed, N failed`, which counts steps. --only takes names of steps or of groups (`clippy`).

Example: cargo xtask ci --only fmt,clippy,deps";

const DEPS: &str = "\
Usage: cargo xtask deps

Fails on a dependency between crates of the workspace that xtask/deps.toml does not allow, on a crate that is missing
there, and on a core that has an async runtime in its tree without its default features.";

const REQS: &str = "\
Usage: cargo xtask reqs [--table] [--write]

Reads docs/requirements/*.toml and the tags in all Rust files. Fails on tags that are malformed or name an unknown id, on tags in
test code that belong to no test, on duplicate ids, and on requirements that are done and have no test.

A tag is a comment on a line of its own: two slashes, an equals sign, a space, then one id or several with spaces or
commas between. Directly above a test function or inside it, it says that this test proves the ids; in a test file
above everything else, that the whole file does; in other code it cites them. Test code is: a file under a `tests` folder or
named tests.rs, and whatever comes behind `#[cfg(test)] mod NAME {` in a file. Cases under crates/conformance/cases
count as tests through their keys `requirement` and `requirements`. A test marked #[ignore] proves nothing.

  --table   print each id with its tests
  --write   mark as done what has a test (a promise that it keeps one)";

const SPEC: &str = "\
Usage: cargo xtask spec [--write]

Fails where docs/requirements/smrp.toml is not what the normative statements of docs/smrp.md say, or docs/smrp-vectors.toml
not what its table of frames makes; `--write` makes both anew and keeps what is done.";

const TIDY: &str = "\
Usage: cargo xtask tidy

Fails on Rust files over 600 lines, on paths in README.md and ARCHITECTURE.md that do not exist, where ARCHITECTURE.md
and the crates folder name different crates, and on examples in docs/wire that tests could not read.";

const CONFORMANCE: &str = "\
Usage: cargo xtask conformance [--write | --check | ARGS..]

Runs the conformance cases; ARGS go to the runner, whose own help comes with a wrong one. `--self`, `--connect URL` and
`--listen URL` run those over sockets: docs/guide/conformance.md. --write puts what `conformance --markdown` prints into
docs/conformance.md; --check fails when that file says something else.";

const MUTANTS: &str = "\
Usage: cargo xtask mutants [--check | --few | --write] [SYSTEM | ID]..

Copies the workspace into the target folder, plants the faults of crates/conformance/mutants/SYSTEM.toml there, one at a time, and runs
the conformance cases of that protocol. Fails on a fault that no case notices, that does not compile or that cannot be planted any more.

  --check   only whether each can be planted
  --few     the first of each list
  --write   put the table into docs/mutants.md; with systems, their parts of it

Example: cargo xtask mutants smp121";

const COUNTS: &str = "\
Usage: cargo xtask counts [--write]

Builds crates/counts, runs each of its paths under callgrind with 1,000 and with 3,000 items, and compares what the items took
beyond each other with docs/counts.toml: 3 % more or less is a failure. Needs valgrind. --write puts what was counted into the file.";

const DISSECTOR: &str = "\
Usage: cargo xtask dissector [--write | --check]

Prints the Wireshark dissector that the crate smp121 makes from its table of the layout. --write puts it into
docs/wire/smp121.lua; --check fails when that file says something else.";

const INTEROP: &str = "\
Usage: cargo xtask interop npm-smp|npm-wrp

Installs the packages under target/interop (without their install scripts) and exchanges messages: with npm `smp` 1.1.3, or with
devices and servers made of npm `ws` and `@msgpack/msgpack`. Needs node and npm.";

const ATTACK: &str = "\
Usage: cargo xtask attack [--list] [--only ID,ID..] [--seconds N] [--no-times] [--json] | --write

Builds the release binary, attacks it over loopback, one attacker at a time, and says which promises were kept: it lives, its memory
stays within bounds, others are answered in time. --write runs all attacks and puts the results into docs/attacks.md.

Example: cargo xtask attack --only rapid-reset,pings";

const MODELS: &str = "\
Usage: cargo xtask models

Builds the tests of some crates with the locks and atomics of loom in place of those of the standard library (`--cfg postroad_model`, in
target/models), and runs their modules `models`: each test goes through all orders in which its threads can take turns. The run, not the
build, is ended after 60 s.";

const SOAK: &str = "\
Usage: cargo xtask soak [--minutes N | --seconds N] [--seed N] [--only STACK,STACK..] [--json] [--list] [--write]

Builds the release binary, puts 70 % of a measured load on all stacks at once, kills, freezes, cuts, stalls, slows and starves them
meanwhile, and says which promises were kept: every request ends and is right, errors only where a fault excuses them, work goes on
within 10 s, memory, descriptors, threads and tasks do not grow. 10 minutes and seed 1 by default. --write puts the verdicts into docs/soak.md.
Needs strace for one of the faults, and as root runs raw IP too.

Example: cargo xtask soak --minutes 2 --only smrp+tcp,smp121+udp";

const BENCH: &str = "\
Usage: cargo xtask bench [ARGS..]

Runs the benchmarks with optimisation. ARGS go to the bench program (see `cargo xtask bench -- --help`).";

const FUZZ: &str = "\
Usage: cargo xtask fuzz-smoke [--seconds N] [--target T]

Runs each fuzz target for N seconds (30) from the seeds in fuzz/seeds/T; what it finds on the way stays in fuzz/corpus/T.
Needs a nightly toolchain; installs cargo-fuzz if it is missing. Fails on a target without seeds and on seeds without a target.";

/// The help of one command, or nothing if there is no such command.
pub(crate) fn of(command: &str) -> Option<&'static str> {
    Some(match command {
        "test" => TEST,
        "ci" => CI,
        "deps" => DEPS,
        "reqs" => REQS,
        "spec" => SPEC,
        "tidy" => TIDY,
        "conformance" => CONFORMANCE,
        "counts" => COUNTS,
        "mutants" => MUTANTS,
        "dissector" => DISSECTOR,
        "interop" => INTEROP,
        "attack" => ATTACK,
        "models" => MODELS,
        "soak" => SOAK,
        "bench" => BENCH,
        "fuzz-smoke" => FUZZ,
        _ => return None,
    })
}
