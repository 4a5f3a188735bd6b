//! The command line as a tree; help, completions and the manual page come from it.

use clap::builder::Styles;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  postroad demo                                        # every stack on this machine, in seconds
  postroad serve smp+tcp://127.0.0.1:7001 --echo       # in one terminal
  postroad request smp+tcp://127.0.0.1:7001 --part hi  # in another
  postroad forward 127.0.0.1:8080 smrp+tls://relay:7443 --to 127.0.0.1:80  # as `ssh -L` does

URLs: PROTOCOL+CARRIER://WHERE[?option=value&...]
  smp+tcp://host:7001    smp+tls://host:7001?ca=ca.pem    smp+unix:///run/app.sock
  smp+ws://host:8080/p   smp+wss://host/p?ca=ca.pem       smp+mem://name (inside one process)
  wrp+ws://host:8080?device=mac:112233445566 (WRP, as devices of Xmidt; also +wss, +tcp, +tls, +unix, +mem, +smp+...)
  smrp+tls://host:7443/svc?ca=ca.pem (sessions; also +tcp, +ws, +wss, +unix, +mem; smp+smrp+... and wrp+smrp+... within them)
  smp121+udp://host:port/mailslot (port 12121 where none is named)
  smp121://host/mailslot (raw IP, protocol 121; needs CAP_NET_RAW, see `postroad demo`)

Exit codes: 0 done, 1 failed, 2 the command line is wrong.";

/// Messages and files over any road: TCP, TLS, WebSocket, Unix sockets, UDP, raw IP.
///
/// Data goes to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(name = "postroad", version, after_help = EXAMPLES, max_term_width = 100, styles = Styles::styled())]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// Results as JSON, one object a line, each with a `schema` field
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more on standard error; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Colours on standard error; NO_COLOR and CLICOLOR_FORCE are heeded
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run every stack on this machine, over real sockets: messages, and a file both ways
    Demo(Demo),
    /// Listen, and answer, print, run a command or store files
    Serve(Serve),
    /// Make a port here that leads to one over there, through a session
    Forward(Forward),
    /// Send a message
    Send(Send),
    /// Send a request and write its reply to standard output
    Request(Request),
    /// Send a file to a server, or fetch one, with a checksum
    Copy(Copy),
    /// Show the units in recorded octets
    Inspect(Inspect),
    /// Measure rate and latency against `serve --echo`
    Bench(Bench),
    /// Make an authority and certificates for development
    Cert(Cert),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page
    Man(Man),
}

/// Demonstrates the whole: for each stack it opens a listener with fresh certificates, sends small messages and a real
/// file (this program itself) there and back, and compares SHA-256 at both ends. Raw IP needs CAP_NET_RAW; without it the
/// demo goes into a network of its own with `unshare -rn`, and where that does not work either it says so and skips that row.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postroad demo\n  postroad demo --json | jq .result\n  postroad demo --stack smp+tls --messages 10000\n  postroad demo --stack smp121 --stack smp121+udp"
)]
pub(crate) struct Demo {
    /// Only these stacks, as in smp+tls; may be repeated
    #[arg(long = "stack", value_name = "STACK")]
    pub(crate) stacks: Vec<String>,
    /// Small messages to exchange on each stack
    #[arg(long, default_value_t = 1000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) messages: u32,
    /// The file to send; this program itself where none is named
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Set by the demo where it runs itself in a network of its own
    #[arg(long, hide = true)]
    pub(crate) in_namespace: bool,
}

/// Listens at each URL and prints `listening URL` on standard output when it is ready, with the real port where the URL
/// says 0. A mailslot (smp121) serves all peers at once, and a request of one peer after the other. Ctrl-C stops listening, finishes what is open, and ends; a second one ends at once.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(false))]
#[command(
    after_help = "Examples:\n  postroad serve smp+tcp://127.0.0.1:7001 --echo\n  postroad serve smp+tcp://127.0.0.1:0 smp+unix:///tmp/a.sock --print\n  postroad serve smp+tcp://127.0.0.1:7001 --exec 'tr a-z A-Z'\n  postroad serve 'smp+tls://0.0.0.0:7001?cert=server.pem&key=server-key.pem' --save inbox\n  postroad serve smp121+udp://0.0.0.0/printer --exec 'tr a-z A-Z'\n  sudo postroad serve smp121://0.0.0.0/printer --print\n  postroad serve 'wrp+ws://0.0.0.0:8080?token=tokens.txt' --save inbox\n  postroad serve smrp+tcp://127.0.0.1:7443 --forward-to 127.0.0.1:80 --forward-to unix:///run/db.sock\n  postroad serve --connect 'wrp+wss://cloud.example?device=mac:112233445566&token=token.txt' --exec ./answer.sh"
)]
pub(crate) struct Serve {
    /// Where to listen
    #[arg(required = true, value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// Connect to the URLs instead, as a device does, and serve there; over wrp a link that broke is made again
    #[arg(long)]
    pub(crate) connect: bool,
    /// Answer each request with its own parts, and send each message back
    #[arg(long, group = "what")]
    pub(crate) echo: bool,
    /// Print each message; requests get an empty reply
    #[arg(long, group = "what")]
    pub(crate) print: bool,
    /// Run this for each message with `sh -c`: parts one after the other on its input, its output is the reply
    #[arg(long, group = "what", value_name = "CMD")]
    pub(crate) exec: Option<String>,
    /// Store files that `copy` sends in this folder, and give out the files in it
    #[arg(long, group = "what", value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,
    /// Let forwards reach this: HOST:PORT or unix:///PATH, exactly as they name it; may be repeated. Only over smrp
    #[arg(long, group = "what", value_name = "TARGET")]
    pub(crate) forward_to: Vec<String>,
    /// With --save: let a new file take the place of one with the same name
    #[arg(long, requires = "save")]
    pub(crate) overwrite: bool,
    /// Connections open at once; more wait. Mailslots have none
    #[arg(long, default_value_t = 10_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections_max: u32,
    /// When it ends: where sessions of smrp are told to go instead
    #[arg(long, value_name = "URL")]
    pub(crate) redirect: Option<String>,
    /// With --exec: commands running at once; more wait
    #[arg(long, default_value_t = 16, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) exec_max: u32,
    /// With --exec: how long a command may run
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub(crate) exec_timeout: Duration,
}

/// Listens here and takes every connection to TARGET, as the other end sees it, through one session: what people use `ssh -L`
/// for. The other end runs `postroad serve URL --forward-to TARGET`, and nothing else can be reached there. When the
/// connection of the session is lost, it goes on over another one, and so do the connections in it. Prints `forwarding LISTEN
/// to TARGET` when it is ready. Ends with exit code 1 when the session cannot be kept; Ctrl-C cuts off what is open.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postroad forward 127.0.0.1:8080 smrp+tcp://127.0.0.1:7443 --to 127.0.0.1:80\n  postroad forward 127.0.0.1:8080 'smrp+tls://relay.example:7443?ca=ca.pem&token=token' --to intranet:80\n  postroad forward unix:///tmp/db.sock smrp+unix:///run/session.sock --to unix:///run/db.sock\n\n  and at the other end, for the first of them:\n  postroad serve smrp+tcp://127.0.0.1:7443 --forward-to 127.0.0.1:80"
)]
pub(crate) struct Forward {
    /// Where to listen: HOST:PORT, tcp://HOST:PORT or unix:///PATH; port 0 takes a free one
    pub(crate) listen: String,
    /// The session's other end, an smrp URL
    pub(crate) url: String,
    /// Where connections go, from there: HOST:PORT or unix:///PATH
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: String,
    /// Connections open at once; more wait
    #[arg(long, default_value_t = 1_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections_max: u32,
    /// How long a connection waits for a stream to carry it
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub(crate) connect_timeout: Duration,
}

/// What a message is made of.
#[derive(Clone, Debug, Args)]
pub(crate) struct Parts {
    /// A part: text, @FILE for a file's content, or - for standard input; may be repeated
    #[arg(long = "part", short, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    pub(crate) parts: Vec<String>,
    /// A header, where the protocol has them (wrp); may be repeated
    #[arg(long = "header", value_name = "NAME:VALUE")]
    pub(crate) headers: Vec<String>,
}

/// Sends a message and closes the connection in order, so that it has arrived when the command ends well. A mailslot
/// acknowledges each message by its reply, which is awaited.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postroad send smp+tcp://127.0.0.1:7001 --part hello\n  postroad send smp+tcp://127.0.0.1:7001 --part meta --part @photo.jpg\n  date | postroad send smp+tcp://127.0.0.1:7001 --part -\n  postroad send smp+tcp://127.0.0.1:7001 --part tick --count 1000\n  postroad send smp121+udp://127.0.0.1/printer --part page\n  postroad send 'wrp+ws://127.0.0.1:8080?device=mac:112233445566&dest=event:status' --part online --header kind:boot"
)]
pub(crate) struct Send {
    /// Where to
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) parts: Parts,
    /// How many times
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) count: u64,
}

/// Sends a request and writes the parts of the reply to standard output, one after the other.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postroad request smp+tcp://127.0.0.1:7001 --part ping\n  postroad request smp+tcp://127.0.0.1:7001 --part @question.json --timeout 5s > answer.json\n  postroad request smp121+udp://127.0.0.1/printer --part ping\n  postroad request wrp+ws://127.0.0.1:8080 --part ping"
)]
pub(crate) struct Request {
    /// Where to
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) parts: Parts,
    /// How long to wait for the reply [default: what the URL says by request_timeout=, or 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Write binary parts to a terminal too
    #[arg(long)]
    pub(crate) force: bool,
}

/// Copies files to a server that runs `serve --save`, all at once over one connection, or a file from it. The content is
/// checked by SHA-256 at the receiving end and has its name only when all of it is there. An interrupted copy begins anew.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postroad copy photo.jpg smp+tcp://127.0.0.1:7001\n  postroad copy photo.jpg smp+tcp://127.0.0.1:7001 --name holiday.jpg\n  postroad copy smp+tcp://127.0.0.1:7001 photo.jpg\n  postroad copy smp+tcp://127.0.0.1:7001 copy.jpg --name photo.jpg --force\n  postroad copy photo.jpg smp121+udp://127.0.0.1/inbox\n  postroad copy a.log b.log c.log 'wrp+ws://127.0.0.1:8080?encoding=gzip+best'"
)]
pub(crate) struct Copy {
    /// Files, or the server's URL
    #[arg(required = true, value_name = "FROM")]
    pub(crate) from: Vec<String>,
    /// The server's URL, or a file
    #[arg(required = true)]
    pub(crate) to: String,
    /// The file's name at the server, where it is another than here
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Let it take the place of a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// Cuts recorded octets of one direction of a connection into units and shows them; or, with --protocol smp121, shows the
/// segments of a capture (pcap or pcapng), or one segment from --hex; or, with --protocol wrp, one WRP message; or, with --protocol
/// smrp, preface and frames of a session: octets of one direction, or every direction in a capture. Tokens and handles are never shown.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("octets").required(true).multiple(false))]
#[command(
    after_help = "Examples:\n  postroad inspect --hex '01 00 05 68 65 6c 6c 6f 60'\n  postroad inspect --protocol smp capture.bin\n  nc -l 7001 | postroad inspect - --json\n  postroad inspect --protocol smp121 capture.pcap\n  postroad inspect --protocol smp121 --source 10.0.0.1 --destination 10.0.0.2 --hex '123456780000000501070015070036cf68656c6c6f'\n  postroad inspect --protocol wrp --hex '82a86d73675f747970650aa3716f7300'\n  postroad inspect --protocol smrp capture.pcapng --port 7443\n\nWith --json, one object a unit with `code`, `argc`, `args` (hex) and for frames `id` and `frame`; the last object has `end`:\n`clean`, or `incomplete` with the octets `missing`. For smp121 one object a segment with `kind`, `header`, `records`, `data`\n(hex), `checksum` (`right`, `wrong`, `unchecked`) and `faults`; of a capture also `packet`, `time` and the addresses, and the last\nobject has `end` and counts. For wrp one object with `message` (its JSON form), `packet` (of a stream) and `invalid`, or `error`. For smrp one object with `preface`, or a frame with `name`, `flag_names`,\n`fields` (octets in hex, of secrets the length) and `fault`, or what is `broken`, `lost` or `unfinished`; of a capture with the addresses."
)]
pub(crate) struct Inspect {
    /// The protocol of the octets
    #[arg(long, default_value = "smp", value_name = "NAME", value_parser = ["smp", "smp121", "wrp", "smrp"])]
    pub(crate) protocol: String,
    /// The octets as hex digits; spaces, commas, colons and line breaks between octets do not count
    #[arg(long, group = "octets")]
    pub(crate) hex: Option<String>,
    /// A file, or - for standard input
    #[arg(group = "octets", value_name = "FILE|-")]
    pub(crate) file: Option<PathBuf>,
    /// With --protocol smp121 --hex: the address that the segment came from, for its checksum; 0.0.0.0 for one from UDP
    #[arg(long, value_name = "ADDRESS", requires = "destination")]
    pub(crate) source: Option<IpAddr>,
    /// With --protocol smrp: a TCP port to look at in a capture, whatever is on it; may be repeated. Without it, sessions on any port
    #[arg(long = "port", value_name = "PORT")]
    pub(crate) ports: Vec<u16>,
    /// The address that it went to
    #[arg(long, value_name = "ADDRESS", requires = "source")]
    pub(crate) destination: Option<IpAddr>,
}

/// Measures how many requests a second a `serve --echo` answers, and how long each takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postroad bench smp+tcp://127.0.0.1:7001\n  postroad bench smp+tcp://127.0.0.1:7001 --size 64KiB --in-flight 8 --duration 10s --json\n  postroad bench smp121+udp://127.0.0.1/printer"
)]
pub(crate) struct Bench {
    /// A server that runs `serve --echo`
    pub(crate) url: String,
    /// Octets of each message
    #[arg(long, default_value = "64", value_name = "LEN", value_parser = octets)]
    pub(crate) size: usize,
    /// Requests under way at once
    #[arg(long, default_value_t = 32, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) in_flight: u32,
    /// How long to measure, after a tenth of it to warm up
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Duration,
}

/// Makes a private authority, a server certificate and a client certificate, for development only. Nothing is added to
/// any trust store: who should trust them names the files.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postroad cert\n  postroad cert --dir certs --name relay.test --name 10.0.0.5\n  postroad serve 'smp+tls://127.0.0.1:7001?cert=postroad-certs/server.pem&key=postroad-certs/server-key.pem' --echo\n  postroad request 'smp+tls://127.0.0.1:7001?ca=postroad-certs/ca.pem' --part hi"
)]
pub(crate) struct Cert {
    /// The folder to write to; made where it is missing
    #[arg(long, default_value = "postroad-certs", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// A name or address of the server; may be repeated [default: localhost, 127.0.0.1 and ::1]
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Replace files that are there
    #[arg(long)]
    pub(crate) force: bool,
}

/// Prints a completion script.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postroad completions bash > ~/.local/share/bash-completion/completions/postroad\n  postroad completions zsh > ~/.zfunc/_postroad"
)]
pub(crate) struct Completions {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}

/// Prints the manual page, or with --dir writes one for each verb.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postroad man | man -l -\n  postroad man --dir ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Write postroad.1 and a page for each verb into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// A time as in `5s`, `250ms`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("give a number and ms, s, m or h, as in 250ms or 5s".to_owned()),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    match millis {
        Some(millis @ 1..=86_400_000) => Ok(Duration::from_millis(millis)),
        _ => Err("give 1ms to 24h".to_owned()),
    }
}

/// A length as in `64`, `64KiB`, `1MiB`.
fn octets(text: &str) -> Result<usize, String> {
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let scale = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err("give a number and nothing, B, KiB or MiB, as in 64 or 16KiB".to_owned()),
    };
    let len = number.parse::<usize>().ok().and_then(|number| number.checked_mul(scale));
    len.filter(|len| *len <= 16 << 20).ok_or_else(|| "give at most 16MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example_in_its_help() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("postroad {}", verb.get_name())), "{}", verb.get_name());
        }
    }

    #[test]
    fn times_and_lengths_have_units_and_bounds() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert!(
            duration("25h").is_err() && duration("0s").is_err() && duration("5").is_err() && duration("s").is_err()
        );
        assert_eq!(octets("16MiB"), Ok(16 << 20));
        assert!(octets("17MiB").is_err() && octets("1GB").is_err() && octets("").is_err());
    }
}
