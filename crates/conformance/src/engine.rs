//! What cases run against: our engine, or a test's faulty one.

use crate::case::{Action, Settings, duration};
use crate::notation::{CaseUnit, Content, NotationError, render};
use bytes::{Buf, Bytes};
use smp_framing::framer::{Framer, is_whole};
use smp_framing::machine::{
    AbandonReason, BodyId, CloseReason, Command, ConnectionMachine, ErrorReport, Event, Input, UsageError,
};
use smp_framing::reassembler::SequenceFault;
use smp_framing::wire::{ReceiveBuffer, TransmitBuffer, encode};
use smp_framing::{
    Arguments, Code, Config, Delivery, EncodeError, FrameIdent, Limits, Mode, NodeGeneration, Unit, UserCode,
};
use wirekit::{Instant, Machine};

/// One end of a connection, as the runner drives it.
pub trait Engine {
    /// Takes octets off the front of `buffer`, as many as it has room for.
    fn receive(&mut self, now: Instant, buffer: &mut ReceiveBuffer);
    /// The peer's stream ended behind `left`, the octets that were not taken.
    fn end(&mut self, now: Instant, left: &ReceiveBuffer);
    /// The application acts.
    ///
    /// # Errors
    /// The name of the refusal.
    fn act(&mut self, now: Instant, action: &Action) -> Result<(), String>;
    /// Time has come to `now`.
    fn timeout(&mut self, now: Instant);
    /// Octets to send, `None` where there are none now.
    fn transmit(&mut self, now: Instant) -> Option<Vec<u8>>;
    /// The next event, as cases write it.
    fn event(&mut self) -> Option<String>;
    /// When `timeout` is to be called.
    fn deadline(&self) -> Option<Instant>;
    /// IDs of messages that came in part, in order.
    fn open_ids(&self) -> Vec<u16>;
    /// How many octets the unit that `left` begins still needs at least.
    fn missing_len(&self, left: &ReceiveBuffer) -> usize;
}

/// Our engine: [`ConnectionMachine`], and the codec for the actions that need no connection.
#[derive(Debug)]
pub struct SmpEngine {
    machine: ConnectionMachine,
    bodies: Vec<BodyId>,
    /// What actions without a connection made.
    made: Vec<u8>,
}

impl SmpEngine {
    /// An engine with these settings at the start of a connection.
    ///
    /// # Errors
    /// [`NotationError`] where a setting is unknown or out of range.
    pub fn new(now: Instant, settings: &Settings) -> Result<Self, NotationError> {
        Ok(Self { machine: ConnectionMachine::new(now, config(settings)?), bodies: Vec::new(), made: Vec::new() })
    }

    fn body(&self, index: usize) -> Result<BodyId, String> {
        self.bodies.get(index).copied().ok_or_else(|| format!("the case opened no body {index}"))
    }

    fn command(&mut self, now: Instant, command: Command) -> Result<(), String> {
        self.machine.handle(now, Input::Command(command)).map_err(|error| usage_name(&error))
    }

    fn plan(&mut self, max: usize, ident: (u16, u32), content: &Content) -> Result<(), String> {
        let arguments = arguments(content);
        if is_whole(&arguments, max).map_err(|error| encode_name(&error))? {
            return self.encode(0, None, content);
        }
        let frames = Framer::new(arguments, max, ident.0, ident.1).map_err(|error| encode_name(&error))?;
        for frame in frames {
            self.made.extend(frame.to_octets().map_err(|error| encode_name(&error))?);
        }
        Ok(())
    }

    fn encode(&mut self, code: u8, ident: Option<(u16, u32)>, content: &Content) -> Result<(), String> {
        let code = Code::from_number(code).ok_or("no_such_code")?;
        let unit = match ident {
            None => Unit::plain(code, arguments(content)),
            Some((id, number)) => Unit::frame(code, FrameIdent { id, number }, arguments(content)),
        };
        let mut out = TransmitBuffer::new();
        encode(&unit.ok_or("code_and_ident")?, &mut out).map_err(|error| encode_name(&error))?;
        self.made.extend_from_slice(&out.copy_to_bytes(out.remaining()));
        Ok(())
    }
}

impl Engine for SmpEngine {
    fn receive(&mut self, now: Instant, buffer: &mut ReceiveBuffer) {
        // An input of octets is never refused; a fault of the peer is an event.
        let _ = self.machine.handle(now, Input::Received(buffer));
    }

    fn end(&mut self, now: Instant, left: &ReceiveBuffer) {
        let missing_len = left.missing_len();
        let _ = self.machine.handle(now, Input::ReceivedEof { missing_len });
    }

    fn act(&mut self, now: Instant, action: &Action) -> Result<(), String> {
        let usage = |error: UsageError| usage_name(&error);
        match action {
            Action::Send(content) => self.command(now, Command::Send(arguments(content))),
            Action::Information(content) => self.command(now, Command::Information(arguments(content))),
            Action::Error(number, text, more) => {
                let mut report = ErrorReport::new(*number, text);
                report.arguments = arguments(more);
                self.command(now, Command::Error(report))
            }
            Action::Heartbeat(content) => self.command(now, Command::Heartbeat(arguments(content))),
            Action::User(code, content) => {
                let code = Code::from_number(*code).and_then(|code| UserCode::try_from(code).ok());
                self.command(now, Command::User(code.ok_or("no_user_code")?, arguments(content)))
            }
            Action::PausePeer => self.command(now, Command::PausePeer),
            Action::ResumePeer => self.command(now, Command::ResumePeer),
            Action::Close(content) => self.command(now, Command::Close(arguments(content))),
            Action::Abort => self.command(now, Command::Abort),
            Action::OpenBody(count, first_number) => {
                self.bodies.push(self.machine.open_body(*count, *first_number).map_err(usage)?);
                Ok(())
            }
            Action::FeedBody(body, index, payload) => {
                let payload = Bytes::copy_from_slice(payload);
                self.machine.feed_body(self.body(*body)?, *index, payload).map_err(usage)
            }
            Action::FinishBody(body) => self.machine.finish_body(self.body(*body)?).map_err(usage),
            Action::AbandonBody(body) => self.machine.abandon_body(self.body(*body)?).map_err(usage),
            Action::Plan(max, ident, content) => self.plan(*max, *ident, content),
            Action::Encode(CaseUnit { code, ident, arguments }) => self.encode(*code, *ident, arguments),
        }
    }

    fn timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
    }

    fn transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if !self.made.is_empty() {
            return Some(core::mem::take(&mut self.made));
        }
        let mut out = TransmitBuffer::new();
        self.machine.poll_transmit(now, &mut out).then(|| out.copy_to_bytes(out.remaining()).to_vec())
    }

    fn event(&mut self) -> Option<String> {
        self.machine.poll_event().map(|event| describe(&event))
    }

    fn deadline(&self) -> Option<Instant> {
        self.machine.poll_timeout().map(|deadline| deadline.at)
    }

    fn open_ids(&self) -> Vec<u16> {
        let mut ids: Vec<u16> = self.machine.open_ids().collect();
        ids.sort_unstable();
        ids
    }

    fn missing_len(&self, left: &ReceiveBuffer) -> usize {
        left.missing_len()
    }
}

fn arguments(content: &Content) -> Arguments {
    content.iter().map(|octets| Bytes::copy_from_slice(octets)).collect()
}

fn config(settings: &Settings) -> Result<Config, NotationError> {
    let mode = match settings.mode.as_deref() {
        None | Some("strict") => Mode::Strict,
        Some("lenient") => Mode::Lenient,
        Some("node-1.0") => Mode::Node(NodeGeneration::V1_0),
        Some("node-1.1") => Mode::Node(NodeGeneration::V1_1),
        Some(other) => return Err(NotationError::new(other, "no mode")),
    };
    let timer = |word: &Option<String>| word.as_deref().map(duration).transpose();
    let mut builder = Config::builder()
        .with_mode(mode)
        .with_delivery(if settings.frames { Delivery::Frames } else { Delivery::Assembled })
        .with_heartbeat_interval(timer(&settings.heartbeat_interval)?)
        .with_peer_timeout(timer(&settings.peer_timeout)?)
        .with_limits(limits(settings)?);
    if let Some(max) = settings.max_message_size {
        builder = builder.with_max_message_size(max);
    }
    if let Some(report) = settings.report_errors {
        builder = builder.with_report_errors(report);
    }
    builder.build().map_err(|error| NotationError::new(error.field, error.reason))
}

fn limits(settings: &Settings) -> Result<Limits, NotationError> {
    let mut limits = Limits::default();
    for (name, value) in &settings.limits {
        let count = usize::try_from(*value).unwrap_or(usize::MAX);
        let time = core::time::Duration::from_millis(*value);
        match name.as_str() {
            "unit_len_max" => limits.unit_len_max = count,
            "open_ids_max" => limits.open_ids_max = count,
            "broken_ids_max" => limits.broken_ids_max = count,
            "message_len_max" => limits.message_len_max = count,
            "assembly_len_max" => limits.assembly_len_max = count,
            "fragment_overhead_len" => limits.fragment_overhead_len = count,
            "small_units_per_second_max" => {
                limits.small_units_per_second_max = u32::try_from(count).unwrap_or(u32::MAX);
            }
            "assembly_idle_timeout" => limits.assembly_idle_timeout = time,
            "event_count_max" => limits.event_count_max = count,
            "outgoing_len_max" => limits.outgoing_len_max = count,
            "control_count_max" => limits.control_count_max = count,
            "paused_timeout" => limits.paused_timeout = time,
            "stop_linger" => limits.stop_linger = time,
            _ => return Err(NotationError::new(name, "no limit of this name")),
        }
    }
    Ok(limits)
}

fn encode_name(error: &EncodeError) -> String {
    match error {
        EncodeError::ArgumentCount { .. } => "argument_count".into(),
        EncodeError::ArgumentLength { .. } => "argument_length".into(),
        EncodeError::ReservedCode { .. } => "reserved_code".into(),
        EncodeError::MaxMessageSize { .. } => "max_message_size".into(),
        other => other.to_string(),
    }
}

fn usage_name(error: &UsageError) -> String {
    match error {
        UsageError::Encode(error) => encode_name(error),
        UsageError::TooLargeForPeer { .. } => "too_large_for_peer".into(),
        UsageError::UserCodeForNode { .. } => "user_code_for_node".into(),
        UsageError::Closing => "closing".into(),
        UsageError::QueueFull => "queue_full".into(),
        UsageError::TooManyBodies { .. } => "too_many_bodies".into(),
        UsageError::NoSuchBody => "no_such_body".into(),
        UsageError::NoSuchArgument { .. } => "no_such_argument".into(),
        other => other.to_string(),
    }
}

/// An event as cases write it.
#[must_use]
pub fn describe(event: &Event) -> String {
    let plain = |name: &str, arguments: &Arguments| format!("{name}{}", render(arguments));
    let numbered = |name: &str, number: u8, arguments: &Arguments| format!("{name} {number}{}", render(arguments));
    match event {
        Event::Message(arguments) => plain("message", arguments),
        Event::Assembled(message) => format!(
            "assembled {}#{}x{}{}",
            message.id,
            message.first_number,
            message.frame_count,
            render(&message.arguments)
        ),
        Event::Frame(frame) => {
            let FrameIdent { id, number } = frame.ident;
            format!("frame {}@{id}#{number}{}", frame.code.number(), render(&frame.arguments))
        }
        Event::Abandoned(id, why) => format!("abandoned {id} {}", abandon_name(why)),
        Event::SequenceError(FrameIdent { id, number }, fault) => {
            format!("sequence_error {id}#{number} {}", fault_name(*fault))
        }
        Event::Information(arguments) => plain("info", arguments),
        Event::Error(report) => {
            let number = report.number.map_or_else(|| "none".to_owned(), |number| number.to_string());
            format!("error {number}{}", render(&report.arguments))
        }
        Event::SemanticError(code, arguments) => numbered("semantic_error", code.number(), arguments),
        Event::Heartbeat(arguments) => plain("heartbeat", arguments),
        Event::Pause(arguments) => plain("pause", arguments),
        Event::Resume(arguments) => plain("resume", arguments),
        Event::User(code, arguments) => numbered("user", Code::from(*code).number(), arguments),
        Event::Reserved(code, arguments) => numbered("reserved", code.number(), arguments),
        Event::Stop(arguments) => plain("stop", arguments),
        Event::Closed(reason) => format!("closed {}", close_name(reason)),
        other => format!("an event without a name in cases: {other:?}"),
    }
}

const fn fault_name(fault: SequenceFault) -> &'static str {
    match fault {
        SequenceFault::NoNewFrame => "no_new_frame",
        SequenceFault::Gap => "gap",
        SequenceFault::Repeat => "repeat",
    }
}

fn abandon_name(why: &AbandonReason) -> String {
    match why {
        AbandonReason::Replaced => "replaced".into(),
        AbandonReason::BySender => "by_sender".into(),
        AbandonReason::OutOfSequence(fault) => fault_name(*fault).into(),
        AbandonReason::Limit(exceeded) => exceeded.limit.to_string(),
        AbandonReason::ConnectionEnded => "connection_ended".into(),
        other => format!("{other:?}"),
    }
}

fn close_name(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Stopped => "stopped".into(),
        CloseReason::StoppedByPeer => "stopped_by_peer".into(),
        CloseReason::PeerClosed => "peer_closed".into(),
        CloseReason::Truncated { missing_len } => format!("truncated:{missing_len}"),
        CloseReason::PeerLost => "peer_lost".into(),
        CloseReason::Limit(exceeded) => exceeded.limit.to_string(),
        CloseReason::Aborted => "aborted".into(),
        other => format!("{other:?}"),
    }
}
