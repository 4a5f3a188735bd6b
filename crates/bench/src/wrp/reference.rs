//! The reference implementation, which is in Go, as a process beside us.

use crate::harness::Timing;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/reference");

/// The process. Cheap to clone; it ends with the last one.
#[derive(Clone, Debug)]
pub(super) struct Reference(Rc<RefCell<Process>>);

#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Reference {
    /// One that works on these packets; `None`, with a line that says so, where it cannot be built: it needs Go 1.26 and its
    /// modules. `POSTROAD_REFERENCE_MODFILE` names a go.mod to use instead of that in `peers/reference`.
    pub(super) fn start(plain: &[u8]) -> anyhow::Result<Option<Self>> {
        let folder = std::env::temp_dir().join(format!("postroad-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let started = Self::start_in(&folder, plain);
        std::fs::remove_dir_all(&folder)?;
        started
    }

    fn start_in(folder: &Path, plain: &[u8]) -> anyhow::Result<Option<Self>> {
        let (program, data) = (folder.join("reference"), folder.join("packets"));
        // A copy, since the build writes down what it fetched.
        for name in ["go.mod", "main.go"] {
            std::fs::copy(Path::new(SOURCE).join(name), folder.join(name))?;
        }
        let mut build = Command::new("go");
        build.args(["build", "-mod=mod", "-o"]).arg(&program);
        if let Some(file) = std::env::var_os("POSTROAD_REFERENCE_MODFILE") {
            build.arg("-modfile").arg(file);
        }
        let built = build.arg(".").current_dir(folder).output();
        if !built.as_ref().is_ok_and(|output| output.status.success()) {
            crate::progress("  the reference is left out: it needs Go 1.26 and its modules");
            return Ok(None);
        }
        std::fs::write(&data, plain)?;
        let mut child = Command::new(&program)
            .arg(&data)
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipe = || anyhow::anyhow!("no pipe");
        let stdin = child.stdin.take().ok_or_else(pipe)?;
        let lines = BufReader::new(child.stdout.take().ok_or_else(pipe)?);
        let this = Self(Rc::new(RefCell::new(Process { child, stdin, lines })));
        // It has read its packets once it answers.
        this.ask("out identity 1")?;
        Ok(Some(this))
    }

    fn ask(&self, command: &str) -> anyhow::Result<[u64; 3]> {
        let mut process = self.0.borrow_mut();
        writeln!(process.stdin, "{command}")?;
        let mut line = String::new();
        process.lines.read_line(&mut line)?;
        let numbers: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        numbers.try_into().map_err(|_| anyhow::anyhow!("the reference said {line:?}"))
    }

    /// So many packets, `out` or `in`.
    pub(super) fn run(&self, way: &str, encoding: &str, count: u64) -> anyhow::Result<Timing> {
        let [wall, cpu, _] = self.ask(&format!("{way} {encoding} {count}"))?;
        crate::machine::count_child(Duration::from_nanos(cpu));
        Ok(Timing { wall: Duration::from_nanos(wall), cpu: Duration::from_nanos(cpu), percentiles: None, writes: None })
    }

    /// Octets of all payloads.
    pub(super) fn payloads_len(&self, encoding: &str) -> anyhow::Result<u64> {
        let [_, _, octets] = self.ask(&format!("out {encoding} 0"))?;
        Ok(octets)
    }
}
